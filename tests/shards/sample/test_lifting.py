"""Depth of joints from where they are: what the network makes of poses, and what cannot matter."""

from __future__ import annotations

import numpy as np
import pytest

from shards.sample.keypoints import COCO_18
from shards.sample.lifting import WINDOW, _network, lifted
from tests.shards.sample.test_posed import joints_at


def walk(frames: int, steps: float = 1.0) -> np.ndarray:
    """(T, 18, 3) of somebody who walks to the picture's right, seen from the side."""
    poses = []
    for phase in np.linspace(0, 2 * np.pi * steps, frames):
        ahead = 14 * np.sin(phase)
        bent = 10 * max(np.cos(phase), 0), 10 * max(-np.cos(phase), 0)
        poses.append(
            joints_at(
                nose=(72, 22), right_eye=(71, 19), left_eye=(70, 20),
                right_ear=(64, 21), left_ear=(66, 21),
                right_shoulder=(63, 36), left_shoulder=(65, 36),
                right_hip=(63, 68), left_hip=(65, 68),
                right_elbow=(63 - ahead / 2, 50), left_elbow=(65 + ahead / 2, 50),
                right_wrist=(66 - ahead, 64), left_wrist=(68 + ahead, 64),
                right_knee=(66 + ahead / 2, 90), left_knee=(67 - ahead / 2, 90),
                right_ankle=(63 + ahead - bent[0], 112), left_ankle=(65 - ahead - bent[1], 112),
            )
        )  # fmt: skip
    return np.stack(poses)


def depth(poses: np.ndarray, *joints: str) -> np.ndarray:
    """(T,): mean depth of these joints."""
    return lifted(poses)[:, COCO_18.indices(*joints)].mean(1)


def test_who_faces_the_right_has_the_right_side_before_the_left() -> None:
    poses = walk(WINDOW)
    right = depth(poses, "right_shoulder", "right_hip", "right_elbow", "right_knee")
    left = depth(poses, "left_shoulder", "left_hip", "left_elbow", "left_knee")
    assert (right < left).all()


def test_a_mirror_image_is_as_deep() -> None:
    poses = walk(WINDOW)
    other = poses[:, COCO_18.mirrored()] * (-1, 1, 1) + (128, 0, 0)
    np.testing.assert_allclose(lifted(other)[:, COCO_18.mirrored()], lifted(poses), atol=0.12)
    assert np.abs(lifted(other)[:, COCO_18.mirrored()] - lifted(poses)).mean() < 0.04


def test_neither_size_nor_place_in_the_picture_counts() -> None:
    poses = walk(WINDOW)
    moved = (poses * (3, 3, 1) + (500, -90, 0)).astype(np.float32)
    np.testing.assert_allclose(lifted(moved), lifted(poses), atol=1e-4)


def test_joints_that_are_not_known_are_guessed_from_the_others() -> None:
    poses = walk(WINDOW)
    hidden, at = poses.copy(), COCO_18.indices("left_wrist", "right_ear")
    hidden[:, at, 2] = 0.1
    elsewhere = hidden.copy()
    elsewhere[:, at, :2] = 1e6
    np.testing.assert_array_equal(lifted(elsewhere), lifted(hidden))
    assert np.abs(lifted(hidden) - lifted(poses)).mean() < 0.05
    poses[..., 2] = 0
    np.testing.assert_array_equal(lifted(poses), np.full((WINDOW, 18), 0.375, np.float32))


def test_a_joint_that_is_no_number_is_not_known() -> None:
    poses = walk(WINDOW)
    hidden, broken = poses.copy(), poses.copy()
    at = COCO_18.indices("left_wrist")
    hidden[0, at, 2] = 0
    broken[0, at, 0] = np.nan
    np.testing.assert_array_equal(lifted(broken), lifted(hidden))


def test_moves_count() -> None:
    """The same skeleton in all frames, in place of one that walks on."""
    poses = walk(WINDOW)
    still = np.repeat(poses[3:4], WINDOW, axis=0)
    assert np.abs(lifted(still)[3] - lifted(poses)[3]).max() > 0.01


def test_frames_of_a_long_video_are_the_mean_of_their_windows() -> None:
    poses = walk(WINDOW + 2, 2)
    parts = [lifted(poses[start : start + WINDOW]) for start in range(3)]
    whole = lifted(poses)
    np.testing.assert_allclose(whole[0], parts[0][0], atol=1e-5)
    expected = np.mean([parts[start][4 - start] for start in range(3)], axis=0)
    np.testing.assert_allclose(whole[4], expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 3, WINDOW + 1, 40])
def test_videos_of_any_length(frames: int) -> None:
    depths = lifted(walk(frames, frames / WINDOW))
    assert depths.shape == (frames, 18)
    assert depths.dtype == np.float32
    assert _network(np.zeros((1, frames, 90), np.float32)).dtype == np.float32
    assert ((depths >= 0) & (depths <= 0.75)).all()
    if frames > 1:  # it does not jump from window to window
        assert np.abs(np.diff(depths, axis=0)).max() < 0.35
