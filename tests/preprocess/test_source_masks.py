"""Where the source has masks: whose pose, box and clip stand beside them."""

from types import SimpleNamespace

import numpy as np
import pytest

from preprocess.annotate import ClipRequest, annotate
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.people import people_of_clip
from preprocess.annotators.source.annotator import SourceMask
from preprocess.errors import ClipError
from preprocess.frames import Frame
from preprocess.load import Annotators
from preprocess.shots import Shot
from preprocess.survey import survey

WIDTH, HEIGHT, COUNT = 200, 120, 20
SMALL, LARGE = (120, 40, 150, 110), (20, 10, 90, 110)
PLACES = {"small": SMALL, "large": LARGE}


def image(index):
    rgb = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for (x0, y0, x1, y1), colour in ((LARGE, (220, 30, 30)), (SMALL, (30, 30, 220))):
        rgb[y0:y1, x0:x1] = colour
    return Frame(index, rgb, index / 30)


class Images:
    def __init__(self, make):
        self.make = make

    def read(self, indices):
        for index in indices:
            made = self.make(index)
            if made is None:
                raise ClipError(f"frame {index} has no mask")
            yield made


class Pose:
    """Finds both people, the large one first, and gives each joints within their box."""

    min_score = 0.05

    def __init__(self, person):
        self.person = person

    def find(self, frames):
        return [[LARGE, SMALL] for _ in frames]

    def keypoints(self, scene):
        def joints(wanted):
            found = []
            for _, number in wanted:
                x0, y0, x1, y1 = (LARGE, SMALL)[number]
                there = np.zeros((134, 3), np.float32)
                there[:18] = np.linspace((x0 + 5, y0 + 5, 1), (x1 - 5, y1 - 5, 1), 18)
                found.append(there)
            return found

        settings = SimpleNamespace(
            people="one", person=self.person, check_poses=False, smooth=False
        )
        return people_of_clip(scene, self.find(scene.pictures), joints, settings)


def make(who, person="largest", *, speck=False, without=()):
    """A clip whose source's masks show `who`, but for the frames `without` one."""
    x0, y0, x1, y1 = PLACES[who]

    def mask(index):
        if index in without:
            return None
        rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        rgb[y0:y1, x0:x1] = 255
        if speck:
            rgb[HEIGHT - 1, WIDTH - 1 if who == "large" else 0] = 255
        return Frame(index, rgb, index / 30)

    choice = AnnotatorChoice(
        mask="source", pose="openpose", depth=("none",), crop="none", person=person, smooth=False
    )
    annotators = Annotators(choice, choice.chosen, {}, mask=SourceMask(), pose=Pose(person))
    frames = [image(index) for index in range(8)]
    video = SimpleNamespace(
        id="v",
        reader=Images(image),
        masks=Images(mask),
        densepose=None,
        truth=None,
        fps=30.0,
        frames=COUNT,
    )
    shot = Shot(0, COUNT - 1)
    surveyed = survey(video, shot, annotators, 64)
    request = ClipRequest("k", "tiktok", "train", tuple(range(8)), shot)
    return annotate(request, video, frames, surveyed, annotators, size=WIDTH)


@pytest.mark.parametrize("without", [(), (12, 14)], ids=["all", "some-masks-missing"])
@pytest.mark.parametrize("who", PLACES)
@pytest.mark.parametrize("person", ["largest", "central", "2", "9"])
def test_the_pose_is_that_of_whom_the_mask_shows(who, person, without):
    clip = make(who, person, without=without)
    x, y = clip.keypoints[:, 0, :18, :2].round().astype(int).T
    assert (clip.mask[0, y, x] == 255).all()
    assert clip.info["subject"]["number"] == 1


@pytest.mark.parametrize("who", PLACES)
def test_a_stray_pixel_in_the_masks_changes_nothing(who):
    clean, stray = make(who), make(who, speck=True)
    assert stray.info == clean.info | {"key": "k"}
    np.testing.assert_array_equal(stray.keypoints, clean.keypoints)
