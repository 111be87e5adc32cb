"""Crops: one square a clip, inside the frame where possible, mapping back to the source."""

import numpy as np
import pytest

from preprocess.crop import Crop, centre_crop, subject_crop, whole_frame


def test_a_square_is_padded_around_the_person():
    crop = subject_crop([(400, 200, 500, 500)], 1920, 1080, 256)
    assert crop.side == 360  # 300 and a tenth of it on each side
    assert crop.box == (270, 170, 630, 530)


def test_it_covers_the_person_over_the_whole_clip():
    crop = subject_crop([(100, 100, 200, 300), (300, 120, 420, 310)], 1920, 1080, 256)
    x0, y0, x1, y1 = crop.box
    assert x0 <= 100
    assert x1 >= 420
    assert y0 <= 100
    assert y1 >= 310


@pytest.mark.parametrize("corner", [(0, 0), (1820, 0), (0, 880), (1820, 880)])
def test_it_stays_inside_the_frame(corner):
    x, y = corner
    x0, y0, x1, y1 = subject_crop([(x, y, x + 100, y + 200)], 1920, 1080, 256).box
    assert x0 >= 0
    assert y0 >= 0
    assert x1 <= 1920
    assert y1 <= 1080


def test_padding_gives_way_before_the_square_leaves_the_frame():
    crop = subject_crop([(500, 40, 700, 1040)], 1920, 1080, 256)
    assert crop.side == 1080
    assert (crop.y, crop.y + crop.side) == (0, 1080)


def test_a_person_taller_than_the_frame_is_wide_is_not_cut():
    crop = subject_crop([(300, 100, 800, 1800)], 1080, 1920, 256)
    assert crop.side == 1700
    assert crop.x == -310  # as much black on the left as on the right
    assert crop.y >= 0
    assert crop.y + crop.side <= 1920


def test_nobody_means_the_middle():
    crop = subject_crop([], 200, 100, 64)
    assert (crop.mode, crop.box) == ("subject", (50, 0, 150, 100))


def test_boxes_outside_the_frame_are_clipped():
    crop = subject_crop([(-500, -500, 50, 50)], 640, 480, 64)
    assert crop.side == 60


@pytest.mark.parametrize("make", [centre_crop, whole_frame])
@pytest.mark.parametrize("size", [(64, 64), (97, 65), (65, 97), (604, 1080), (1, 1)])
def test_clips_are_square_and_of_the_wanted_size(make, size):
    frame = np.full((size[1], size[0], 3), 200, np.uint8)
    assert make(*size, 48).apply(frame).shape == (48, 48, 3)


def test_the_whole_frame_gets_black_bars():
    clip = whole_frame(200, 100, 100).apply(np.full((100, 200, 3), 255, np.uint8))
    assert (clip[:24] == 0).all()
    assert (clip[26:74] == 255).all()
    assert (clip[76:] == 0).all()


def test_a_square_partly_outside_is_black_there():
    clip = Crop("subject", -10, -20, 40, 40).apply(np.full((100, 100), 255, np.uint8))
    assert (clip[:20] == 0).all()
    assert (clip[:, :10] == 0).all()
    assert (clip[20:, 10:] == 255).all()


@pytest.mark.parametrize("crop", [Crop("subject", 30, 50, 100, 64), Crop("none", -20, 0, 240, 64)])
def test_the_affine_says_where_pixels_went(crop):
    yy, xx = np.mgrid[:200, :200]
    frame = np.stack([xx, yy, xx * 0], -1).astype(np.uint8)
    clip = crop.apply(frame)
    for x, y in ((90, 100), (61, 77)):
        u, v = crop.to_clip @ (x, y, 1)
        near = clip[round(v), round(u), :2]
        scale = crop.side / crop.size
        assert np.abs(near - np.array([x, y])).max() <= scale / 2 + 1
