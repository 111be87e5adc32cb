"""TikTok's DensePose reaches the annotator that wants it, frame by frame, and no other."""

from types import SimpleNamespace

import numpy as np
import pytest

from preprocess.annotate import ClipRequest, annotate, survey
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.scene import Masks
from preprocess.annotators.spec import Record
from preprocess.errors import ClipError
from preprocess.load import Annotators, Depth
from preprocess.shots import Shot
from preprocess.sources.registry import list_videos

SIZE = 32
RECORD = Record("made", "1", {})


class Made:
    """A depth annotator, in the place of one that reads DensePose or of one that does not."""

    label = unit = "made"
    metres = False

    def __init__(self, densepose, near=1.0, far=1.0):
        self.name = "hdnet" if densepose else "midas"
        self.values = np.linspace(near, far, SIZE, dtype=np.float32)
        self.seen = []
        self.modes = []

    def depths(self, scene, masks):
        self.seen.append([image[0, 0].tolist() for image in scene.iuv])
        self.modes.append(scene.crop.mode)
        return np.broadcast_to(self.values, (len(scene.frames), SIZE, SIZE))


def annotators(depth):
    everything = SimpleNamespace(
        masks=lambda s: Masks(np.full((len(s.frames), SIZE, SIZE), 255, np.uint8), ())
    )
    choice = AnnotatorChoice(mask="lite", pose="none", depth=(depth.name,), crop="center")
    by = Depth(choice.depths[0].spec, RECORD, depth)
    return Annotators(choice, choice.chosen, {}, mask=everything, depths=(by,))


@pytest.fixture
def folder(tmp_path, write_image):
    """TikTok's layout with three frames whose DensePose is V = 100 + i, U = 50, part i."""
    for i in range(1, 4):
        write_image(tmp_path / "00001/images" / f"{i:04d}.png", np.full((40, 48, 3), i, np.uint8))
        iuv = np.broadcast_to(np.array([100 + i, 50, i], np.uint8), (40, 48, 3))
        write_image(tmp_path / "00001/densepose" / f"{i:04d}.png", iuv)
    return tmp_path


def make(folder, depth):
    (video,) = list_videos("tiktok", folder).videos
    shot = Shot(0, video.frames - 1)
    surveyed = survey(video, shot, annotators(depth), SIZE)
    frames = list(video.reader.read((0, 2)))
    request = ClipRequest("tiktok-00001-0", "tiktok", "train", (0, 2), shot)
    return annotate(request, video, frames, surveyed, annotators(depth), size=SIZE)


def test_each_frame_comes_with_its_own(folder):
    depth = Made(densepose=True)
    make(folder, depth)
    first, second, third = [101, 50, 1], [102, 50, 2], [103, 50, 3]
    assert depth.seen == [[first], [second], [third], [first, third]]


def test_an_annotator_that_does_not_want_it_costs_no_reading(folder):
    for path in (folder / "00001" / "densepose").iterdir():
        path.write_bytes(b"never looked at")
    depth = Made(densepose=False)
    make(folder, depth)
    assert depth.seen == [[]] * 4


def test_a_program_runs_for_those_who_read_it_alone(folder):
    looked = []

    def iuv(frames):
        looked.append(len(frames))
        return [np.zeros_like(frame) for frame in frames]

    reads, other = Made(densepose=True), Made(densepose=False)
    choice = AnnotatorChoice("lite", "none", (reads.name, other.name), crop="center")
    both = tuple(
        Depth(chosen.spec, RECORD, made)
        for chosen, made in zip(choice.depths, (reads, other), strict=True)
    )
    made = Annotators(
        choice,
        choice.chosen,
        {},
        mask=annotators(reads).mask,
        densepose=SimpleNamespace(iuv=iuv),
        depths=both,
    )
    (video,) = list_videos("tiktok", folder).videos
    survey(video, Shot(0, 2), made, SIZE)
    assert looked == [1, 1, 1]  # once for each of three frames
    assert [len(seen) for seen in reads.seen] == [1, 1, 1]
    assert other.seen == [[], [], []]


def test_a_missing_image_costs_the_clip_and_is_named(folder):
    depth = Made(densepose=True)
    (folder / "00001" / "densepose" / "0003.png").unlink()
    with pytest.raises(ClipError, match=r"densepose/0003\.png"):
        make(folder, depth)
    assert len(depth.seen) == 2  # the survey did without that frame
    for number in (1, 2):
        (folder / "00001" / "densepose" / f"000{number}.png").unlink()
    with pytest.raises(ClipError, match=r"densepose/0001\.png"):
        make(folder, depth)


def test_a_scale_of_its_own_fills_the_range_and_is_that_of_the_clip_s_crop(folder):
    depth = Made(densepose=True, near=7.0, far=7.1)
    clip = make(folder, depth)
    assert set(depth.modes) == {"center"}
    assert np.ptp(clip.depth_person) > 0.5  # metres would have been widened to 0.3
    assert clip.info["depth"]["depth_person"]["far"] < 7.2


def test_a_video_without_the_folder_has_none(folder):
    for path in (folder / "00001" / "densepose").iterdir():
        path.unlink()
    (folder / "00001" / "densepose").rmdir()
    (video,) = list_videos("tiktok", folder).videos
    assert video.densepose is None
    depth = Made(densepose=True)
    make(folder, depth)
    assert depth.seen == [[]] * 4
