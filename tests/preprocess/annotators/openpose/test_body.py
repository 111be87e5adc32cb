"""Bodies: as the published implementation finds them, and where a drawn figure has its joints."""

import cv2
import numpy as np
import pytest

from preprocess.annotators.openpose.body import find_bodies
from tests.preprocess.annotators.openpose.drawn import (
    STANDING,
    DrawnBody,
    figures,
    network,
    numbered_frames,
)
from tests.preprocess.annotators.openpose.published import by_published


def test_random_maps_give_the_published_people():
    """Many peaks and limbs at random: every rule of the grouping is met, merging included."""
    rng = np.random.default_rng(3)
    drawings = []
    for _ in range(2):
        fields = cv2.GaussianBlur(rng.normal(size=(23, 25, 38)), (0, 0), 2.0) * 5
        maps = cv2.GaussianBlur(rng.normal(size=(23, 25, 19)), (0, 0), 1.5) * 4
        drawings.append((fields.transpose(2, 0, 1), maps.transpose(2, 0, 1)))
    frames = numbered_frames(2, (70, 74))
    module = DrawnBody(drawings)
    found = find_bodies(network(module), frames)
    assert module.batches == [2]
    assert sum(len(there) for there in found) > 15
    for frame, there in zip(frames, found, strict=True):
        expected = by_published(module, frame)
        assert len(there) == len(expected)
        np.testing.assert_array_equal(np.array(there)[..., :2], expected[..., :2])
        np.testing.assert_allclose(np.array(there)[..., 2], expected[..., 2], atol=1e-5)


# The network sees 184 rows: in an image of 540 rows a pixel is a third of one of its own.
@pytest.mark.parametrize(
    ("size", "off"),
    [((368, 368), 0), ((184, 184), 0), ((300, 400), 0), ((121, 200), 0), ((540, 302), 1)],
)
def test_joints_come_back_where_they_were_drawn(size, off):
    scale = np.array([size[1] / 368, size[0] / 368, 1])
    two = np.stack([STANDING * (0.5, 1, 1), STANDING * (0.5, 0.9, 1) + (170, 10, 0)]) * scale
    two[..., :2] = two[..., :2].round()
    two[1, 3:5] = 0  # an arm out of sight
    two[1, 16] = 0
    (found,) = find_bodies(network(DrawnBody([figures(two, size)])), numbered_frames(1, size))
    found = sorted(found, key=lambda joints: joints[1, 0])
    assert len(found) == 2
    for person, expected in zip(found, two, strict=True):
        there = expected[:, 2] > 0
        np.testing.assert_array_equal(person[~there], 0)
        assert abs(person - expected)[there, :2].max() <= off
        np.testing.assert_allclose(person[there, 2], expected[there, 2], atol=0.01)


def test_an_empty_image_has_nobody():
    nothing = np.zeros((38, 23, 23)), np.zeros((19, 23, 23))
    assert find_bodies(network(DrawnBody([nothing])), numbered_frames(1, (64, 64))) == [[]]
