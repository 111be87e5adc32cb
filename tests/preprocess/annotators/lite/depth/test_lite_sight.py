"""Lite depth is along the camera's axis, wherever in the frame the person stands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from preprocess.annotators.lite.annotators import LiteDepth
from preprocess.annotators.lite.depth import BodyPose
from preprocess.annotators.scene import Scene
from preprocess.annotators.tracked import PersonFrame, Region, RegionMask
from preprocess.crop import Crop

SIDE = 256
HEAD, SHIN = (55, 128), (195, 117)  # row, column in the clip


def _depth(pose: BodyPose, mask: np.ndarray, left: int, above: int, size: int) -> np.ndarray:
    """Of the same clip, cut out of a frame of `size` pixels a side at this place."""
    corner = (left, above)
    landmarks = np.zeros((33, 5), np.float32)
    landmarks[:, :2] = pose.landmarks[:, :2] + corner
    landmarks[:, 3:] = pose.landmarks[:, 2:]
    region = Region(left + SIDE / 2, above + SIDE / 2, SIDE)
    whole = RegionMask(np.ones((SIDE, SIDE), np.float32), region)
    person = PersonFrame(landmarks, pose.world, whole, None, None, None, region, 1.0)
    frame = np.zeros((size, size, 3), np.uint8)
    scene = Scene((frame,), (person,), Crop("subject", left, above, SIDE, SIDE), 30.0)
    found: np.ndarray = LiteDepth().depths(scene, mask[None])[0]
    return found


def _rise(depth: np.ndarray) -> float:
    """By how much the shin is farther than the head."""
    return float(depth[SHIN] - depth[HEAD])


@pytest.mark.parametrize(("above", "down"), [(0, -128), (128, 0), (256, 128)])
def test_who_stands_high_in_a_picture_has_the_feet_farther_away(pose, mask, above, down) -> None:
    middle = _rise(_depth(pose, mask, 0, 0, SIDE))
    rise = _rise(_depth(pose, mask, 128, above, 512)) - middle
    # From head to shin it is 1.4 m; the frame spans 45 degrees.
    tilt = math.atan(down / (256 / math.tan(math.radians(22.5))))
    assert rise == pytest.approx(-1.4 * math.sin(tilt), abs=0.02)


def test_who_stands_to_the_right_has_the_right_side_of_the_picture_nearer(pose, mask) -> None:
    right = _depth(pose, mask, 256, 128, 512)
    left = _depth(pose, mask, 0, 128, 512)
    shoulders = np.array([[82, 112], [82, 144]])
    for depth, sign in ((right, -1), (left, 1)):
        a, b = (depth[row, column] for row, column in shoulders)
        assert sign * (b - a) > 0.02
