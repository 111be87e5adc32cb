"""Depth from generated pictures: both inverses, at edges too, and what it means."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from idol.generate.depth import colour_map, depth_of, metres_of, to_uint8
from idol.model_info import DepthMeaning
from shards.sample.colormap import depth_to_hot


def scene(size: int = 128) -> np.ndarray:
    """A tilted person before the background, depth (size, size)."""
    y, x = np.mgrid[:size, :size] / size
    depth = 0.1 + 0.5 * y
    return np.where(np.hypot(x - 0.5, y - 0.5) < 0.35, depth, 1.0).astype(np.float32)


def test_exact_colours_give_their_depth() -> None:
    depth = scene()
    for pictures in (depth_to_hot(depth), depth_to_hot(depth).astype(np.float32) / 255):
        found, confidence = depth_of(pictures, "hot")
        assert found.shape == depth.shape
        assert found.dtype == confidence.dtype == np.float32
        np.testing.assert_allclose(found, depth, atol=8e-4)
        assert confidence.min() > 0.98


def test_mixed_colours_at_edges_are_between_their_depths_and_not_believed() -> None:
    depth = scene(256)
    small = cv2.resize(depth_to_hot(depth), (64, 64), interpolation=cv2.INTER_AREA)
    truth = cv2.resize(depth, (64, 64), interpolation=cv2.INTER_AREA)
    found, confidence = depth_of(small, "hot")
    edge = cv2.dilate((depth == 1).astype(np.uint8), np.ones((9, 9)))[::4, ::4] > 0
    edge &= cv2.dilate((depth < 1).astype(np.uint8), np.ones((9, 9)))[::4, ::4] > 0
    assert np.sqrt(np.square(found - truth)[edge].mean()) < 0.08
    assert np.sqrt(np.square(found - truth)[~edge].mean()) < 0.005
    mixed = np.abs(truth - 1) * np.abs(truth - truth.min()) > 0.03
    assert confidence[edge & mixed].mean() < confidence[~edge].mean() - 0.2


def test_noise_on_colours_is_noise_on_depth() -> None:
    depth, rng = scene(), np.random.default_rng(0)
    noisy = depth_to_hot(depth) / 255 + rng.normal(0, 0.03, (*depth.shape, 3))
    found, confidence = depth_of(noisy, "hot")
    assert np.sqrt(np.square(found - depth).mean()) < 0.02
    assert 0.5 < confidence.mean() < 0.999


def test_grey_either_way_round() -> None:
    depth = scene()
    grey = np.repeat(depth[..., None], 3, axis=-1)
    found, confidence = depth_of(grey, "grey")
    np.testing.assert_allclose(found, depth, atol=1e-6)
    assert confidence.min() > 0.999
    np.testing.assert_allclose(depth_of(grey, "grey near-white")[0], 1 - depth, atol=1e-6)
    coloured = grey * np.float32([1, 1, 0.5])
    assert depth_of(coloured, "grey")[1][depth == 1].max() < 0.1


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        depth_of(np.zeros((4, 4)), "hot")
    for colours in ("hot", "grey"):
        with pytest.raises(ValueError, match="NaN"):
            depth_of(np.full((4, 4, 3), np.nan, np.float32), colours)
    assert to_uint8(np.float32([-1, 0.5, 7])).tolist() == [0, 128, 255]


def test_what_a_model_learned_says_how_it_is_read() -> None:
    assert colour_map(DepthMeaning()) == "hot"
    assert colour_map(DepthMeaning(kind="frame")) == "grey"
    assert colour_map(DepthMeaning(kind="frame", near_white=True)) == "grey near-white"


def test_metres_only_where_there_are_some() -> None:
    depth = np.float32([0, 0.375, 0.75, 0.87, 0.9, 1])
    assert metres_of(depth, DepthMeaning(unit="its own")) is None
    metres = metres_of(depth, DepthMeaning(near=-1, far=1, far_at=0.75))
    assert metres is not None
    np.testing.assert_allclose(metres[:4], [-1, 0, 1, 1.32], atol=1e-6)
    assert np.isnan(metres[4:]).all()
    whole = metres_of(depth, DepthMeaning(kind="frame", near=1, far=5, far_at=1))
    assert whole is not None
    np.testing.assert_allclose(whole, 1 + 4 * depth)
