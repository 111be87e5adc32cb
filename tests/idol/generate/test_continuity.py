"""Seam and drift of videos whose seams and drifts are known."""

from __future__ import annotations

import numpy as np
import pytest

from idol.generate.continuity import changes, colour_distances, drift, seam


def moving(frames: int = 41, size: int = 16) -> np.ndarray:
    """Even grey that rises by 2 levels a frame."""
    return np.repeat(2 * np.arange(frames, dtype=np.uint8), size * size * 3).reshape(
        frames, size, size, 3
    )


def test_even_motion_has_no_seam() -> None:
    assert seam(moving(), 4) == pytest.approx(1)
    assert changes(moving()).tolist() == [2] * 40


@pytest.mark.parametrize("phase", range(4))
def test_a_seam_is_found_at_whatever_phase(phase: int) -> None:
    """Each change into a frame of this phase is three times as large as the others."""
    steps = np.where(np.arange(1, 41) % 4 == phase, 3, 1)
    levels = np.concatenate([[0], steps.cumsum()]).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (41, 8, 8, 3))
    assert seam(frames, 4) == pytest.approx(3)
    # Measured with another stride, what belongs together is scattered.
    assert seam(frames, 3) < 1.3


def test_brightness_that_falls_is_no_wrapped_difference() -> None:
    frames = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (0, 255, 0, 255, 0)])
    assert changes(frames).tolist() == [255] * 4
    assert seam(frames, 2) == 1


def test_still_and_short_videos() -> None:
    still = np.full((20, 4, 4, 3), 90, np.uint8)
    assert seam(still, 4) == 1
    jump = still.copy()
    jump[4:] = 10
    assert seam(jump[:6], 4) == np.inf
    for short in (still[:1], still[:2]):
        assert seam(short, 4) is None
    assert seam(still, 1) is None


def test_drift_of_background_and_person_are_told_apart() -> None:
    frames = np.full((5, 10, 10, 3), 100, np.uint8)
    persons = np.zeros((5, 10, 10), np.uint8)
    for t in range(5):
        persons[t, 2:6, t : t + 3] = 255
        frames[t, 2:6, t : t + 3] = (50, 60, 70)  # a person who crosses the image
    assert drift(frames, persons).background == 0
    assert drift(frames, persons).person == 0
    darker = frames.copy()
    for t in range(5):
        darker[t][persons[t] == 0] += np.uint8(3 * t)
    background, person = colour_distances(darker, persons)
    assert background == pytest.approx(3 * np.sqrt(3) * np.arange(5))
    assert person == pytest.approx(0)
    assert drift(darker, persons > 127).background == pytest.approx(7.5 * np.sqrt(3))
    redder = frames.copy()
    redder[4][persons[4] > 127] += np.array([40, 0, 0], np.uint8)
    assert drift(redder, persons).person == pytest.approx(40 / 4)
    assert drift(redder, persons).background == 0


def test_noise_is_no_drift() -> None:
    noise = np.random.default_rng(0).normal(128, 10, (30, 64, 64, 3)).clip(0, 255).astype(np.uint8)
    none = np.zeros((30, 64, 64), bool)
    found = drift(noise, none)
    assert found.background is not None
    assert found.background < 1
    assert found.person is None


def test_a_person_who_fills_or_leaves_the_image() -> None:
    frames = moving(4)
    everywhere = np.ones((4, 16, 16), bool)
    assert drift(frames, everywhere).background is None
    assert drift(frames[:1], everywhere[:1]).person is None
    left = everywhere.copy()
    left[2:] = False
    assert drift(frames, left).person == pytest.approx(2 * np.sqrt(3))
