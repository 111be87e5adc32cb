"""Joints in three dimensions: scale, smoothing and constant bones."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.depth import BodyPose, body_motion
from preprocess.annotators.lite.depth.bones import (
    BONES,
    JOINTS,
    bone_lengths,
    constrain,
    joints_from_blazepose,
)
from preprocess.annotators.lite.depth.motion import pixels_per_metre, smooth

CHILDREN = [bone.child for bone in BONES]
PARENTS = [bone.parent for bone in BONES]


def lengths_of(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[:, CHILDREN] - joints[:, PARENTS], axis=2)


def noisy(pose: BodyPose, frames: int, seed: int = 0) -> list[BodyPose]:
    rng = np.random.default_rng(seed)
    return [
        BodyPose(
            pose.landmarks + np.pad(rng.normal(0, 2, (33, 2)), ((0, 0), (0, 1))),
            pose.world + rng.normal(0, 0.035, (33, 3)),
        )
        for _ in range(frames)
    ]


def test_every_bone_keeps_its_length_over_the_clip(pose, bodies):
    for poses in (noisy(pose, 12), *(body.noisy for body in bodies)):
        motion = body_motion(poses)
        lengths = lengths_of(motion.metres)
        np.testing.assert_allclose(lengths, np.tile(motion.lengths, (len(lengths), 1)), atol=1e-9)


def test_left_bones_are_as_long_as_right_ones(bodies):
    motion = body_motion(bodies[0].noisy)
    for bone, length in zip(BONES, motion.lengths, strict=True):
        parent, child = (JOINTS[i].replace("left", "right") for i in (bone.parent, bone.child))
        twin = [(JOINTS[b.parent], JOINTS[b.child]) for b in BONES].index((parent, child))
        assert length == motion.lengths[twin]


def test_joints_are_relative_to_the_hips_and_the_hips_stay_their_middle(bodies):
    metres = body_motion(bodies[1].noisy).metres
    at = {name: metres[:, i] for i, name in enumerate(JOINTS)}
    assert (at["mid_hip"] == 0).all()
    np.testing.assert_allclose(at["left_hip"], -at["right_hip"], atol=1e-9)
    middle = (at["left_shoulder"] + at["right_shoulder"]) / 2
    np.testing.assert_allclose(middle, at["neck"], atol=1e-9)


def test_bones_that_agree_already_are_left_alone(pose):
    joints = joints_from_blazepose(pose.world[None].astype(np.float64))
    joints -= joints[:, :1]
    moved = constrain(joints, np.ones(joints.shape[:2]), bone_lengths(joints))
    np.testing.assert_allclose(moved, joints, atol=1e-6)


def test_a_wrong_z_is_put_right_by_the_other_frames_bones(pose):
    poses = [pose] * 9
    bent = pose.world.copy()
    bent[15, 2] += 0.5  # the left wrist, half a metre too far
    poses[4] = BodyPose(pose.landmarks, bent)
    wrist = JOINTS.index("left_wrist")
    free = body_motion(poses, cutoff_hz=None, constant_bones=False).metres[4, wrist, 2]
    held = body_motion(poses, cutoff_hz=None).metres[4, wrist, 2]
    assert free == pytest.approx(0.5, abs=0.01)
    assert held < 0.3


def test_an_unseen_joint_gives_way_to_a_seen_one(pose):
    joints = joints_from_blazepose(pose.world[None].astype(np.float64))
    lengths = bone_lengths(joints)
    wrist, elbow = JOINTS.index("left_wrist"), JOINTS.index("left_elbow")
    joints[0, wrist, 1] += 0.2
    trusted = np.ones(joints.shape[:2])
    doubted = trusted.copy()
    doubted[0, wrist] = 0.1
    pulled = [constrain(joints, w, lengths)[0, elbow, 1] for w in (trusted, doubted)]
    assert pulled[0] - joints[0, elbow, 1] > 2 * (pulled[1] - joints[0, elbow, 1]) > 0


def test_smoothing_does_not_reach_across_frames_without_a_pose(pose):
    apart = BodyPose(pose.landmarks + np.array([60, 0, 0], np.float32), pose.world)
    whole = body_motion([pose] * 4 + [None] + [apart] * 4)
    assert whole.frames.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    alone = body_motion([pose] * 4)
    np.testing.assert_allclose(whole.pixels[:4], alone.pixels, atol=1e-9)


def test_frames_seconds_apart_are_not_smoothed(pose):
    poses = noisy(pose, 8)
    survey = body_motion(poses, fps=0.5)
    rough = body_motion(poses, cutoff_hz=None)
    np.testing.assert_allclose(survey.metres, rough.metres, atol=2e-3)


def test_poses_are_not_written_to(pose):
    before = pose.landmarks.copy(), pose.world.copy()
    body_motion([pose] * 4)
    assert (pose.landmarks == before[0]).all()
    assert (pose.world == before[1]).all()


def test_smooth_keeps_steady_motion_and_halves_its_cutoff():
    t = np.arange(240) / 30
    line = np.column_stack([3 * t - 1, np.full(len(t), 2.0)])
    even = np.ones_like(line)
    np.testing.assert_allclose(smooth(line, even, 30, 3.5), line, atol=1e-8)
    wave = np.sin(2 * np.pi * 3.5 * t)[:, None]
    kept = smooth(wave, even[:, :1], 30, 3.5)[60:-60]
    # The formula's frequency is exact for slow signals: 2 sin(w/2) is a little less than w.
    assert np.abs(kept).max() == pytest.approx(0.5, abs=0.06)


def test_smooth_trusts_weights_and_bridges_what_has_none():
    t = np.arange(10.0)[:, None]
    wild = t.copy()
    wild[4] = 50
    weights = np.ones_like(t)
    weights[4] = 0
    np.testing.assert_allclose(smooth(wild, weights, 30, 3), t, atol=1e-3)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_smooth_of_hardly_any_frames_is_what_it_was(frames):
    values = np.arange(frames * 6.0).reshape(frames, 2, 3)
    assert (smooth(values, np.ones((frames, 2)), 30, 3) == values).all()


def test_scale_is_exact_and_ignores_shift_and_outliers(pose):
    metres = pose.world[None, :, :2].astype(np.float64)
    weights = np.full((1, 33), 0.9)
    pixels = 173.0 * metres + (40, 900)
    assert pixels_per_metre(pixels, metres, weights)[0] == pytest.approx(173)
    pixels[0, [15, 17, 19, 21]] += (300, -200)  # a hand somewhere else altogether
    assert pixels_per_metre(pixels, metres, weights)[0] == pytest.approx(173, rel=0.01)


def test_scale_is_unknown_where_nothing_fixes_it(pose):
    metres = pose.world[None, :, :2].astype(np.float64)
    pixels = 100 * metres
    weights = np.ones((1, 33))
    assert np.isnan(pixels_per_metre(pixels, metres, 0 * weights))
    assert np.isnan(pixels_per_metre(pixels, 0 * metres, weights))
    assert np.isnan(pixels_per_metre(0 * pixels, metres, weights))
    assert np.isnan(pixels_per_metre(-pixels, metres, weights))
