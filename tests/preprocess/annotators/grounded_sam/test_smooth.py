from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.grounded_sam.annotator import smooth

HEIGHT, WIDTH, FPS = 200, 320, 30.0
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def disc(x: float, y: float, radius: float) -> np.ndarray:
    return (X - x) ** 2 + (Y - y) ** 2 <= radius**2


def body(t: int) -> np.ndarray:
    """A standing figure, 160 pixels tall, whose thin arm swings by 12 pixels a frame."""
    torso = (abs(X - 160) < 20) & (Y > 20) & (Y < 180)
    arm = (abs(Y - 60 - 12 * (t % 2)) < 4) & (X >= 160) & (X < 240)
    return torso | arm


@pytest.mark.parametrize("speed", [0, 3, 6, 11])
def test_a_moving_disc_is_untouched(speed):
    """Up to four of its own lengths a second, at 30 frames a second."""
    moving = np.stack([disc(60 + speed * t, 100, 40) for t in range(6)])
    np.testing.assert_array_equal(smooth(moving, FPS), moving)


def test_a_swinging_arm_is_untouched():
    """A median over three frames would remove the arm, which is never twice in one place."""
    swinging = np.stack([body(t) for t in range(6)])
    np.testing.assert_array_equal(smooth(swinging, FPS), swinging)


def test_a_blob_in_one_frame_goes():
    clean = np.stack([disc(80 + 4 * t, 100, 40) for t in range(6)])
    flickering = clean.copy()
    flickering[2] |= disc(260, 60, 12)
    np.testing.assert_array_equal(smooth(flickering, FPS), clean)


def test_a_leak_that_touches_the_person_goes():
    clean = np.stack([body(0)] * 5)
    leaking = clean.copy()
    leaking[3] |= (X >= 100) & (X <= 160) & (Y > 120) & (Y < 180)
    np.testing.assert_array_equal(smooth(leaking, FPS), clean)


def test_a_hole_in_one_frame_is_filled_within_two_pixels():
    clean = np.stack([disc(80 + 2 * t, 100, 40) for t in range(6)])
    holed = clean.copy()
    holed[3] &= ~((Y > 80) & (Y < 110))
    mended = smooth(holed, FPS)
    assert not (mended & ~clean).any()
    lost = np.stack([c & ~m for c, m in zip(clean, mended, strict=True)])
    # What both neighbours have of a disc that moves by 2 pixels: all but the rim's sides.
    assert not (lost[3] & (disc(86, 100, 37.9))).any()
    assert not lost[[0, 1, 2, 4, 5]].any()


def test_an_empty_frame_is_filled_and_a_lone_one_emptied():
    shown = disc(160, 100, 40)
    nothing = np.zeros_like(shown)
    dropped = np.stack([shown, nothing, shown, shown])
    np.testing.assert_array_equal(smooth(dropped, FPS), np.stack([shown] * 4))
    lone = np.stack([nothing, nothing, shown, nothing])
    assert not smooth(lone, FPS).any()


def test_what_lasts_two_frames_stays():
    lasting = np.stack([disc(80, 100, 40)] * 5)
    lasting[2:4] |= disc(260, 60, 12)
    np.testing.assert_array_equal(smooth(lasting, FPS), lasting)


def test_the_reach_grows_with_the_time_between_frames():
    """At 5 frames a second a limb may have moved by half a person's length."""
    clean = np.stack([body(0)] * 3)
    moved = clean.copy()
    moved[1] |= (X > 180) & (X < 240) & (Y > 120) & (Y < 140)
    np.testing.assert_array_equal(smooth(moved, 30.0), clean)
    np.testing.assert_array_equal(smooth(moved, 5.0), moved)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips_stay(frames):
    masks = np.random.default_rng(0).random((frames, 20, 20)) > 0.5
    np.testing.assert_array_equal(smooth(masks, FPS), masks)
