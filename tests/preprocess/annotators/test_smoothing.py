"""The one-euro filter: steady at rest, true in motion, no lag, nothing invented."""

import numpy as np
import pytest

from preprocess.annotators.smoothing import one_euro


def joints(xy, score=1.0):
    """(T, 1, 2, 3): one joint that moves along `xy` and one 100 below, which fixes the scale."""
    points = np.zeros((len(xy), 1, 2, 3), np.float32)
    points[:, 0, 0, :2] = xy
    points[:, 0, 1, :2] = np.asarray(xy) + (0, 100)
    points[..., 2] = score
    return points


def test_jitter_at_rest_is_more_than_halved():
    rng = np.random.default_rng(0)
    noisy = joints(rng.normal((50, 50), 1.0, (200, 2)))
    assert one_euro(noisy, 30)[:, 0, 0, :2].std() < 0.5 * noisy[:, 0, 0, :2].std()


def test_motion_is_followed_without_lag():
    t = np.arange(60) / 30
    path = np.stack([50 + 80 * np.sin(2 * np.pi * t), np.full_like(t, 50)], 1)
    smoothed = one_euro(joints(path), 30)[:, 0, 0, 0]
    shifts = range(-4, 5)
    errors = [np.abs(np.roll(smoothed, s) - path[:, 0])[8:-8].mean() for s in shifts]
    assert shifts[int(np.argmin(errors))] == 0
    assert errors[4] < 2.5  # of a swing of 80


def test_size_of_the_image_does_not_matter():
    noisy = joints(np.random.default_rng(0).normal((50, 50), 2.0, (40, 2)))
    large = noisy * (8, 8, 1)
    np.testing.assert_allclose(
        one_euro(large, 30)[..., :2], one_euro(noisy, 30)[..., :2] * 8, rtol=1e-4
    )


def test_unseen_joints_and_scores_stay_as_they_are():
    points = joints(np.random.default_rng(0).normal(50, 9, (20, 2)))
    points[7:9, 0, 0] = 0
    smoothed = one_euro(points, 30)
    np.testing.assert_array_equal(smoothed[..., 2], points[..., 2])
    np.testing.assert_array_equal(smoothed[7:9, 0, 0], 0)
    # what comes after a gap does not depend on what came before it
    other = points.copy()
    other[:7, 0, 0, :2] += 30
    np.testing.assert_allclose(one_euro(other, 30)[9:, 0, 0], smoothed[9:, 0, 0], rtol=0.02)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips(frames):
    points = joints(np.full((frames, 2), 50.0))
    np.testing.assert_allclose(one_euro(points, 30), points)


def test_nobody_is_nobody():
    points = np.zeros((5, 1, 134, 3), np.float32)
    np.testing.assert_array_equal(one_euro(points, 30), points)


def test_a_frame_rate_is_needed():
    with pytest.raises(ValueError, match="above 0"):
        one_euro(np.zeros((2, 1, 3, 3), np.float32), 0)
