"""Whom the masks are of."""

import numpy as np
import pytest

from preprocess.annotators.sam3.annotator import Sam3
from preprocess.annotators.scene import Scene
from preprocess.crop import Crop

HEIGHT, WIDTH = 80, 120
# The square begins at (20, 10); a pixel of the clip is two by two of the source.
CROP = Crop("center", 20, 10, 64, 32)
SMALL, LARGE, AGAIN = (24, 14, 40, 40), (50, 20, 80, 70), (52, 22, 82, 72)


def run(*frames, people="one", person="largest"):
    """frames: each a dictionary of boxes by number; masks fill them."""

    def segment(images):
        found = []
        for boxes in frames:
            found.append({})
            for number, (x0, y0, x1, y1) in boxes.items():
                mask = np.zeros((HEIGHT, WIDTH), bool)
                mask[y0:y1, x0:x1] = True
                found[-1][number] = mask
        return found

    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    scene = Scene((image,) * len(frames), (), CROP, 30.0)
    return Sam3(segment, people=people, person=person).masks(scene)


def test_masks_come_to_the_clips_square_as_its_frames_do():
    masks = run({4: (30, 20, 51, 60)})
    assert masks.clip.shape == (1, 32, 32)
    assert masks.clip.dtype == np.uint8
    expected = np.zeros((32, 32))
    expected[5:25, 5:15] = 255
    expected[5:25, 15] = 127.5  # half covered
    np.testing.assert_allclose(masks.clip[0], expected, atol=0.5)
    assert masks.boxes == (((30, 20, 51, 60),),)


def test_one_or_all():
    there = {0: SMALL, 1: LARGE}
    assert run(there).boxes == ((LARGE,),)
    everybody = run(there, people="all")
    assert everybody.boxes == ((SMALL, LARGE),)
    assert (everybody.clip > 0).sum() == (8 * 13) + (15 * 25)


@pytest.mark.parametrize(("person", "box"), [("largest", LARGE), ("central", (54, 34, 66, 46))])
def test_the_wanted_one_is_chosen_over_the_whole_clip(person, box):
    frame = {0: LARGE, 1: (54, 34, 66, 46)}
    late = {0: (50, 20, 52, 22), 1: (54, 34, 66, 46)}  # smaller now, and still the same person
    masks = run(frame, frame, late, person=person)
    assert masks.boxes[0] == (box,)
    assert len(masks.boxes[2]) == 1
    assert masks.boxes[2] == ((late[0] if person == "largest" else box),)


def test_somebody_lost_and_found_again_is_one():
    masks = run({0: LARGE}, {}, {3: AGAIN, 1: SMALL})
    assert masks.boxes == ((LARGE,), (), (AGAIN,))
    assert masks.clip.any((1, 2)).tolist() == [True, False, True]


@pytest.mark.parametrize("person", ["largest", "central"])
def test_an_empty_mask_is_nobody(person):
    masks = run({0: (0, 0, 0, 0), 1: SMALL}, {0: (0, 0, 0, 0)}, person=person)
    assert masks.boxes == ((SMALL,), ())
    everybody = run({0: (0, 0, 0, 0), 1: SMALL}, people="all")
    assert everybody.boxes == ((SMALL,),)


def test_a_stray_pixel_widens_no_box():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:70, 50:80] = mask[0, 0] = True
    annotator = Sam3(lambda frames: [{0: mask}] * len(frames), people="one", person="largest")
    assert annotator.find([image]) == [[LARGE]]
    assert annotator.masks(Scene((image,), (), CROP, 30.0)).boxes == ((LARGE,),)


def test_nobody_is_empty():
    masks = run({}, {})
    assert not masks.clip.any()
    assert masks.boxes == ((), ())
