"""Depth of whole frames comes to the clip exactly as the images do."""

import numpy as np
import pytest

from preprocess.annotators.scene import Scene
from preprocess.annotators.whole_frame import WholeFrameDepth, cropped
from preprocess.crop import Crop


def ramps(height, width):
    """Depth that says where it is: x + 1000 y."""
    y, x = np.indices((height, width), dtype=np.float32)
    return x + 1000 * y


@pytest.mark.parametrize("crop", [Crop("center", 30, 10, 96, 32), Crop("subject", 20, 5, 40, 40)])
def test_a_pixel_of_the_clip_has_the_depth_of_its_place_in_the_frame(crop):
    found = cropped(ramps(120, 160), crop)
    (scale, _, dx), (_, _, dy) = crop.to_clip
    expected = (ramps(crop.size, crop.size) % 1000 - dx) / scale
    expected += 1000 * (np.arange(crop.size)[:, None] - dy) / scale
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_enlarging_stays_between_the_neighbours():
    depth = np.zeros((64, 64), np.float32)
    depth[:, 32:] = 5
    found = cropped(depth, Crop("subject", 24, 20, 16, 64))
    assert found.min() == 0
    assert found.max() == 5
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("size", [20, 40, 80])
def test_nothing_is_known_outside_the_frame(size):
    """A crop that reaches beyond the frame by a quarter at the left and at the bottom."""
    crop = Crop("none", -10, 0, 40, size)
    found = cropped(np.full((30, 40), 7, np.float32), crop)
    black = crop.apply(np.full((30, 40), 255, np.uint8)) < 128
    np.testing.assert_array_equal(np.isnan(found), black)
    assert (found[~black] == 7).all()


def test_frames_go_through_at_their_own_size():
    frames = tuple(np.full((20, 30, 3), 10 * t, np.uint8) for t in range(3))
    seen = []

    def estimate(given):
        seen.extend(given)
        return [frame[..., 0].astype(np.float32) for frame in given]

    annotator = WholeFrameDepth("a label", "a unit", estimate)
    scene = Scene(frames, (), Crop("center", 5, 0, 20, 8), 30.0)
    depth = annotator.depths(scene, None)
    assert [id(frame) for frame in seen] == [id(frame) for frame in frames]
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, np.float32([0, 10, 20])[:, None, None] + np.zeros((8, 8)))
    assert (annotator.label, annotator.unit) == ("a label", "a unit")
    assert not annotator.metres
