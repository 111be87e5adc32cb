from __future__ import annotations

import math

import numpy as np
import pytest

from shards.sample.metrics import body_size, depth_flicker, pose_jitter


def _person(frames: int) -> np.ndarray:
    """One person of two joints, 30 by 40 pixels apart: of size 50."""
    return np.tile(np.array([[[0, 0, 1], [30, 40, 1]]], np.float32), (frames, 1, 1, 1))


def test_body_size_is_the_diagonal_of_the_joints_that_were_seen() -> None:
    person = np.concatenate([_person(1)[0, 0], [[900, 900, 0.3]]])
    assert body_size(person[None]) == pytest.approx(50)
    assert math.isnan(body_size(person[None] * 0))


def test_steady_motion_has_no_jitter() -> None:
    keypoints = _person(5)
    keypoints[..., 0] += np.arange(5)[:, None, None] * 7
    assert pose_jitter(keypoints) == pytest.approx(0, abs=1e-6)


def test_a_joint_that_jumps_to_and_fro_by_one_percent_has_two() -> None:
    keypoints = _person(6)
    keypoints[..., :1] += np.float32(0.5) * (np.arange(6) % 2)[:, None, None, None]
    # Second difference of 0, .5, 0 is 1 in length; the body measures 50.
    assert pose_jitter(keypoints) == pytest.approx(0.02, rel=1e-5)


def test_joints_nobody_saw_do_not_count() -> None:
    keypoints = _person(3)
    keypoints[1, 0, 0] = (500, 500, 0.2)
    assert pose_jitter(keypoints) == pytest.approx(0)
    assert math.isnan(pose_jitter(keypoints[:2]))


def test_flicker_is_the_change_inside_both_masks() -> None:
    depth = np.zeros((3, 2, 2), np.float32)
    depth[:, 0, 0] = (0, 0.1, 0.4)
    depth[:, 1, 1] = (0, 1, 0)  # outside
    mask = np.zeros((3, 2, 2), np.uint8)
    mask[:, 0] = 255
    # Two pixels, two pairs of frames: changes of .1, 0, .3, 0.
    assert depth_flicker(depth, mask) == pytest.approx(0.1)
    assert math.isnan(depth_flicker(depth, mask * 0))
