"""Which frame is the reference, what is cut out of it, and when it does not show the person."""

import json

import numpy as np
import pytest

from preprocess.crop import Crop, centre_crop, main_box, subject_crop, whole_frame
from preprocess.errors import ClipError
from preprocess.frames import Frame
from preprocess.reference import (
    Seen,
    choose_reference,
    cut_reference,
    filled,
    foreground_crop,
    wholeness,
)

WIDTH, HEIGHT, SIZE = 320, 180, 32


def seen(box=None, *, index=0, joints=1.0, part=None, several=False):
    """A frame in which the mask fills the upright box (or a part of it)."""
    width, height = WIDTH, HEIGHT
    drawn = np.zeros((height, width), np.uint8)
    x0, y0, x1, y1 = part or box or (0, 0, 0, 0)
    drawn[y0:y1, x0:x1] = 255
    yy, xx = np.mgrid[:height, :width]
    rgb = np.stack([xx * 255 // width, yy * 255 // height, xx * 0], -1).astype(np.uint8)
    return Seen(Frame(index, rgb, 0.0), (), drawn, box, (), joints, bool(box), several)


@pytest.mark.parametrize(
    "box",
    [
        (20, 30, 60, 150),
        (0, 0, 40, 120),  # in a corner
        (280, 60, 320, 180),  # in another
        (0, 80, 320, 120),  # lying, longer than the picture is high
        (100, 0, 140, 180),  # as high as the picture
    ],
)
@pytest.mark.parametrize(
    "crop",
    [
        centre_crop(WIDTH, HEIGHT, SIZE),
        whole_frame(WIDTH, HEIGHT, SIZE),
        subject_crop([(200, 20, 240, 100)], WIDTH, HEIGHT, SIZE),
        Crop("video", 0, 0, 60, SIZE),
    ],
)
def test_the_foreground_holds_the_person_whole_whatever_the_clips_crop(box, crop):
    one = seen(box)
    cut = cut_reference(one, crop, one.size)
    side = cut.info["box"][2] - cut.info["box"][0]
    area = cut.arrays["reference_mask"].sum() / 255 * (side / SIZE) ** 2
    assert area == pytest.approx((one.mask > 127).sum(), rel=0.02)
    np.testing.assert_array_equal(cut.arrays["background"], crop.apply(one.frame.rgb))
    np.testing.assert_array_equal(cut.arrays["background_mask"], crop.apply(one.mask))


def test_a_tenth_of_the_person_is_around_them():
    assert foreground_crop(seen((100, 40, 140, 140)), SIZE).box == (60, 30, 180, 150)


def test_where_both_crops_agree_the_images_are_equal():
    one = seen((100, 40, 140, 140))
    cut = cut_reference(one, foreground_crop(one, SIZE), one.size)
    np.testing.assert_array_equal(cut.arrays["reference"], cut.arrays["background"])
    np.testing.assert_array_equal(cut.arrays["reference_mask"], cut.arrays["background_mask"])


def test_where_nobody_is_looked_for_the_foreground_is_the_whole_picture():
    nobody = Seen(seen().frame)
    cut = cut_reference(nobody, centre_crop(WIDTH, HEIGHT, SIZE), nobody.size)
    assert cut.info == {"frame": 0, "person": None, "box": [0, -70, 320, 250], "coverage": None}
    assert set(cut.arrays) == {"reference", "background"}
    cut.check(0.5)


def test_the_joints_are_said_in_pixels_of_the_foreground():
    """At the same places of the picture, which the crop makes smaller."""
    one = seen((100, 40, 140, 140))
    joints = np.zeros((18, 3), np.float32)
    joints[0] = 120, 60, 0.87654321
    cut = cut_reference(one, foreground_crop(one, SIZE), one.size, joints)
    x0, y0, x1, _ = cut.info["box"]
    x, y, score = cut.info["joints"][0]
    zoom = SIZE / (x1 - x0)
    assert (x, y) == pytest.approx(((120.5 - x0) * zoom - 0.5, (60.5 - y0) * zoom - 0.5), abs=0.01)
    assert score == 0.8765
    assert len(cut.info["joints"]) == 18
    json.dumps(cut.info)


def test_specks_of_a_mask_widen_no_box_but_a_hand_beside_the_body_does():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:150, 100:140] = 255
    mask[2, 3] = mask[170, 310] = 255
    assert main_box(mask) == (100, 30, 140, 150)
    mask[60:66, 160:166] = 255
    assert main_box(mask) == (100, 30, 166, 150)
    assert main_box(mask * 0) is None


def test_the_first_frame_that_shows_the_whole_person_is_the_reference():
    behind_a_tree = seen((200, 40, 240, 140), index=1, joints=0.4)
    coming_in = seen((0, 40, 30, 140), index=2)
    whole, later = seen((60, 40, 100, 140), index=3), seen((80, 40, 120, 140), index=4, joints=1.0)
    frames = [seen(), behind_a_tree, coming_in, whole, later]
    assert choose_reference(frames, SIZE).frame.index == 3
    assert choose_reference(frames[:2], SIZE).frame.index == 1  # better than nobody
    assert choose_reference([seen(index=7), seen(index=8)], SIZE).frame.index == 7
    # A little better is no reason to go on looking.
    almost = seen((60, 40, 100, 140), index=2, joints=0.95)
    assert choose_reference([almost, whole], SIZE).frame.index == 2


def test_a_person_too_small_for_the_sample_is_less_than_one_who_is_not():
    far, near = seen((100, 80, 106, 96)), seen((100, 40, 140, 140))
    assert wholeness(far, SIZE) < 0.7 < wholeness(near, SIZE)


def test_a_fragment_of_the_person_in_their_own_box_is_refused_with_the_reason():
    shoe = seen((100, 20, 150, 160), part=(100, 150, 112, 160))
    cut = cut_reference(shoe, centre_crop(WIDTH, HEIGHT, SIZE), shoe.size)
    with pytest.raises(ClipError, match=r"frame 0, hardly shows the person: .* 0\.0\d+ .* 0\.05"):
        cut.check(0.05)
    cut.check(0)
    nobody = cut_reference(seen(), centre_crop(WIDTH, HEIGHT, SIZE), (WIDTH, HEIGHT))
    with pytest.raises(ClipError, match="shows nobody"):
        nobody.check(0.05)


def test_people_who_stand_far_apart_are_there_though_their_common_square_is_nearly_empty():
    """Each fills his own square; two of 12 x 30 pixels fill .7 % of one that holds both."""
    far = seen((5, 140, 313, 170), several=True)
    far.mask[:] = 0
    far.mask[140:170, 5:17] = far.mask[140:170, 301:313] = 255
    cut = cut_reference(far, centre_crop(WIDTH, HEIGHT, SIZE), far.size)
    assert cut.info["coverage"] < 0.02
    assert filled(far) == pytest.approx(12 * 30 / 36**2)
    cut.check(0.05)


def test_a_picture_that_became_larger_has_the_same_square_of_the_reference():
    small = seen((100, 40, 140, 140))
    large = subject_crop([(200, 80, 280, 280)], 640, 360, SIZE)
    cut = cut_reference(small, large, (640, 360))
    by_hand = subject_crop([(100, 40, 140, 140)], WIDTH, HEIGHT, SIZE).apply(small.frame.rgb)
    assert np.abs(cut.arrays["background"].astype(int) - by_hand).max() <= 2


def test_a_picture_of_another_shape_is_another_picture():
    with pytest.raises(ClipError, match="frame 0: 480x480 and 320x180 differ in shape"):
        cut_reference(seen((100, 40, 140, 140)), centre_crop(480, 480, SIZE), (480, 480))
