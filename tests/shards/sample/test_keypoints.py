"""Joint sets agree with each other, and mirrors with themselves."""

import numpy as np
import pytest

from shards.sample.keypoints import (
    BLAZEPOSE_33,
    COCO_18,
    FACE_68,
    HAND_21,
    JOINT_SETS,
    OPENPOSE_134,
    Keypoints,
    wholebody_from_blazepose,
)


def test_sets_have_their_sizes_and_no_joint_twice():
    sizes = {name: len(s) for name, s in JOINT_SETS.items()}
    assert sizes == {
        "blazepose_33": 33,
        "coco_18": 18,
        "feet_6": 6,
        "face_68": 68,
        "hand_21": 21,
        "openpose_134": 134,
    }
    assert all(len(set(s.joints)) == len(s) for s in JOINT_SETS.values())


def test_known_joints_stand_where_the_field_has_them():
    assert BLAZEPOSE_33.indices("nose", "left_ear", "right_shoulder", "left_wrist") == [
        0,
        7,
        12,
        15,
    ]
    assert BLAZEPOSE_33.indices("left_hip", "right_ankle", "right_big_toe") == [23, 28, 32]
    assert COCO_18.indices("neck", "right_wrist", "left_shoulder", "left_ear") == [1, 4, 5, 17]
    assert OPENPOSE_134.indices("left_big_toe", "face_0", "left_hand_palm") == [18, 24, 92]
    assert OPENPOSE_134.indices("right_hand_palm", "right_hand_pinky_4") == [113, 133]


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=JOINT_SETS)
def test_mirroring_twice_changes_nothing(joint_set):
    mirror = joint_set.mirrored()
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(joint_set)))


def test_the_face_mirrors_as_the_68_points_do():
    mirror = FACE_68.mirrored()
    assert [mirror[i] for i in (0, 8, 17, 27, 31, 36, 48, 51, 60, 66)] == [
        *(16, 8, 26, 27, 35, 45, 54, 51, 64, 66)
    ]


def test_flipping_swaps_sides():
    points = np.zeros((1, 1, 18, 3), np.float32)
    left, right = COCO_18.indices("left_wrist", "right_wrist")
    points[0, 0, left] = 10, 5, 0.9
    points[0, 0, right] = 80, 7, 0.4
    flipped = Keypoints(points, COCO_18).flipped(100)
    np.testing.assert_allclose(flipped.points[0, 0, right], (89, 5, 0.9))
    np.testing.assert_allclose(flipped.points[0, 0, left], (19, 7, 0.4))
    np.testing.assert_allclose(flipped.flipped(100).points, points)


def test_transforming_moves_places_and_keeps_scores():
    points = np.random.default_rng(0).random((2, 1, 21, 3)).astype(np.float32)
    moved = Keypoints(points, HAND_21).transformed(np.array([[2, 0, 1], [0, 2, -1]]))
    np.testing.assert_allclose(moved.points[..., :2], points[..., :2] * 2 + (1, -1), rtol=1e-6)
    np.testing.assert_array_equal(moved.points[..., 2], points[..., 2])


def test_blazepose_becomes_openpose():
    body = np.column_stack([np.arange(33), np.arange(33) * 2, np.linspace(0.3, 0.9, 33)])
    joints = wholebody_from_blazepose(body)
    for name in ("nose", "left_elbow", "right_knee", "left_ear", "right_heel", "left_big_toe"):
        np.testing.assert_allclose(
            joints[OPENPOSE_134.joints.index(name)],
            body[BLAZEPOSE_33.joints.index(name)],
            rtol=1e-6,
        )
    np.testing.assert_allclose(joints[1, :2], (11.5, 23))  # the neck, between the shoulders
    assert joints[1, 2] == pytest.approx(body[[11, 12], 2].min())
    small_toes = OPENPOSE_134.indices("left_small_toe", "right_small_toe")
    assert (joints[small_toes, 2] == 0).all()
    assert (joints[24:, 2] == 0).all()  # no face, no hands


def test_hands_and_face_take_their_places():
    rng = np.random.default_rng(0)
    left, right, face = rng.random((21, 3)), rng.random((21, 3)), rng.random((68, 3))
    joints = wholebody_from_blazepose(np.zeros((33, 3)), left, right, face)
    keypoints = Keypoints(joints[None, None], OPENPOSE_134)
    np.testing.assert_allclose(keypoints.select(HAND_21, "left_hand_")[0, 0], left, rtol=1e-6)
    np.testing.assert_allclose(keypoints.select(HAND_21, "right_hand_")[0, 0], right, rtol=1e-6)
    np.testing.assert_allclose(keypoints.select(FACE_68)[0, 0], face, rtol=1e-6)


def test_points_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="coco_18"):
        Keypoints(np.zeros((1, 1, 17, 3), np.float32), COCO_18)
    with pytest.raises(ValueError, match="float32"):
        Keypoints(np.zeros((1, 1, 18, 3)), COCO_18)
