"""How far a background moved: known shifts, with people in front who moved otherwise."""

import numpy as np
import pytest

from preprocess.background_shift import background_shift, shift_in_clip
from preprocess.errors import ClipError

SIZE = 128


def world(seed=0, side=256):
    """Texture of several sizes, (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    noise = sum(
        np.kron(rng.normal(size=(side // n, side // n)), np.ones((n, n))) for n in (4, 8, 16)
    )
    grey = np.clip(128 + 25 * noise, 0, 255)
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def view(texture, x, y, person=None):
    """What a camera shows that stands at (x, y), and the mask of a grey person in it."""
    image = texture[y : y + SIZE, x : x + SIZE].copy()
    mask = np.zeros((SIZE, SIZE), np.uint8)
    if person:
        left, top = person
        mask[top : top + 80, left : left + 36] = 255
        image[mask > 0] = np.arange(SIZE * SIZE).reshape(SIZE, SIZE)[mask > 0][:, None] % 251
    return image, mask


@pytest.mark.parametrize(("right", "down"), [(0, 0), (7, -3), (-20, 11), (50, 0)])
def test_a_known_shift_is_found_whatever_the_person_does(right, down):
    first = view(world(), 64, 64, (10, 20))
    second = view(world(), 64 - right, 64 - down, (70, 40))
    match = background_shift(*first, *second)
    assert (match.dx, match.dy) == pytest.approx((right, down), abs=0.5)
    assert match.correlation > 0.8


def test_a_person_who_stands_still_before_a_camera_that_turns_says_nothing():
    first, second = view(world(), 64, 64, (40, 20)), view(world(), 58, 64, (40, 20))
    match = background_shift(*first, *second)
    assert match.dx == pytest.approx(6, abs=0.5)


def test_pixels_are_those_of_the_clip():
    double = [np.kron(a, np.ones((2, 2, 1), np.uint8)) for a in (view(world(), 64, 64)[0],)]
    double += [np.kron(view(world(), 60, 64)[0], np.ones((2, 2, 1), np.uint8))]
    match = background_shift(double[0], None, double[1], None)
    assert match.dx == pytest.approx(8, abs=0.5)


def test_bars_beyond_the_frame_hold_nothing_in_place():
    inside = np.zeros((SIZE, SIZE), np.uint8)
    inside[:, 32:96] = 255
    first, second = view(world(), 64, 64)[0], view(world(), 59, 64)[0]
    first[inside == 0] = second[inside == 0] = 0
    assert background_shift(first, None, second, None, inside).dx == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("light", [(0.6, 30), (1.3, -20)])
def test_light_that_changes_moves_nothing(light):
    first = view(world(), 64, 64)[0]
    factor, offset = light
    slope = np.linspace(0, 40, SIZE)[None, :, None]
    second = np.clip(first * factor + offset + slope, 0, 255).astype(np.uint8)
    match = background_shift(first, None, second, None)
    assert (match.dx, match.dy) == pytest.approx((0, 0), abs=0.3)


def test_where_there_is_nothing_to_hold_on_to_nothing_is_measured():
    wall = np.full((SIZE, SIZE, 3), 180, np.uint8)
    everywhere = np.full((SIZE, SIZE), 255, np.uint8)
    assert background_shift(wall, None, wall, None) is None
    textured = view(world(), 64, 64)[0]
    assert background_shift(textured, everywhere, textured, everywhere) is None
    found = shift_in_clip(wall, None, np.stack([wall, wall]), None)
    assert found.info == {"background_shift": None, "background_match": None}
    found.check(0)  # what cannot be measured is no reason to drop a clip


def test_the_farthest_of_a_clip_counts_and_is_refused_beyond_a_limit():
    background = view(world(), 64, 64)[0]
    frames = np.stack([view(world(), 64 - x, 64)[0] for x in (0, 2, 4, 6, 9)])
    found = shift_in_clip(background, None, frames, None)
    assert found.info["background_shift"] == pytest.approx([9, 0], abs=0.5)
    found.check(None)
    found.check(12)
    with pytest.raises(
        ClipError, match=r"moved by 9\.\d pixels .* --max-background-shift allows 4"
    ):
        found.check(4)


def test_another_place_is_not_found_again():
    background, elsewhere = view(world(1), 64, 64)[0], view(world(2), 64, 64)[0]
    found = shift_in_clip(background, None, elsewhere[None], None)
    assert found.info["background_shift"] is None
    assert found.info["background_match"] < 0.4
    with pytest.raises(ClipError, match="not found again"):
        found.check(100)


def test_a_single_image_is_its_own_reference():
    wall = np.full((SIZE, SIZE, 3), 180, np.uint8)
    found = shift_in_clip(wall, None, wall[None], None)
    assert found.info == {"background_shift": [0.0, 0.0], "background_match": 1.0}


def test_backgrounds_that_no_pixel_shares_are_no_fault():
    left, right = np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    left[:, 50:], right[:, :78] = 255, 255
    picture = view(world(), 64, 64)[0]
    match = background_shift(picture, left, picture, right)
    assert match is None or match.correlation < 0.8
