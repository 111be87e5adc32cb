"""The bounds that `shards.sample.colormap` states."""

import cv2
import matplotlib
import numpy as np
import pytest

from shards.sample.colormap import depth_to_grey, depth_to_hot, grey_to_depth, hot_to_depth

RAMP = np.linspace(0, 1, 200_001, dtype=np.float32)


def test_hot_is_matplotlibs_hot():
    table = matplotlib.colormaps["hot"](np.linspace(0, 1, 256))[:, :3] * 255
    ours = depth_to_hot(np.linspace(0, 1, 256))
    assert np.abs(ours - table).max() <= 0.51  # rounding to 8 bit, nothing else


def test_hot_inverts_within_its_bound():
    depth, confidence = hot_to_depth(depth_to_hot(RAMP))
    assert np.abs(depth - RAMP).max() <= 7.5e-4
    assert confidence.min() > 0.99


def test_hot_sum_never_falls():
    sums = depth_to_hot(RAMP).astype(int).sum(-1)
    assert (np.diff(sums) >= 0).all()
    assert (sums[0], sums[-1]) == (11, 765)


def test_white_background_is_exact():
    assert depth_to_hot(np.ones((2, 2))).min() == 255
    assert (hot_to_depth(np.full((2, 2, 3), 255, np.uint8))[0] == 1).all()


def test_leading_dimensions_are_kept():
    depth = np.random.default_rng(0).random((2, 3, 4, 5))
    rgb = depth_to_hot(depth)
    assert rgb.shape == (2, 3, 4, 5, 3)
    assert [a.shape for a in hot_to_depth(rgb)] == [(2, 3, 4, 5)] * 2


def test_mixed_edges_are_read_by_their_sum(monkeypatch):
    """On a blurred silhouette the nearest point alone errs at least twice as much."""
    yy, xx = np.mgrid[:256, :256]
    disc = np.hypot(yy - 128, xx - 128) < 80
    depth = np.where(disc, 0.1 + 0.6 * xx / 256, 1).astype(np.float32)
    mixed = cv2.GaussianBlur(depth_to_hot(depth), (5, 5), 0)
    truth = cv2.GaussianBlur(depth, (5, 5), 0)
    edge = np.abs(truth - depth) > 1e-3

    read, confidence = hot_to_depth(mixed)
    monkeypatch.setattr("shards.sample.colormap.MIXED_RESIDUAL", 9.0)
    nearest, _ = hot_to_depth(mixed)

    def rms(error):
        return np.sqrt(np.mean(error[edge] ** 2))

    assert rms(read - truth) < 0.5 * rms(nearest - truth)
    assert confidence[edge].mean() < 0.7 < 0.99 < confidence[~edge].mean()


def test_noise_stays_small():
    rng = np.random.default_rng(0)
    noisy = depth_to_hot(RAMP) + rng.normal(0, 4, (RAMP.size, 3))
    depth, _ = hot_to_depth(noisy.round().clip(0, 255).astype(np.uint8))
    assert np.sqrt(np.mean((depth - RAMP) ** 2)) < 0.01


def test_grey_inverts_within_its_bound():
    assert np.abs(grey_to_depth(depth_to_grey(RAMP)) - RAMP).max() <= 7.7e-6
    assert grey_to_depth(np.array([255], np.uint8)) == 1


@pytest.mark.parametrize("bad", [[1.1], [-0.1], [np.nan]])
@pytest.mark.parametrize("to_colour", [depth_to_hot, depth_to_grey])
def test_depth_outside_the_range_is_refused(to_colour, bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        to_colour(np.array(bad))


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="floating point"):
        depth_to_hot(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        hot_to_depth(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="uint16"):
        grey_to_depth(np.zeros((2, 2)))
