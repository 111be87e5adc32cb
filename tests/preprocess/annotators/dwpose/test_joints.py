"""COCO-WholeBody's joints become the project's."""

import numpy as np
from rtmlib.tools.pose_estimation.post_processings import convert_coco_to_openpose

from preprocess.annotators.dwpose.annotator import COCO_WHOLEBODY_133, from_coco_wholebody
from shards.sample.keypoints import OPENPOSE_134


def random_joints():
    return np.random.default_rng(0).uniform(0.05, 0.95, (133, 3)) * (200, 100, 1)


def test_the_order_is_the_one_that_users_of_dwpose_know():
    joints = random_joints()
    places, scores = convert_coco_to_openpose(joints[None, :, :2], joints[None, :, 2])
    expected = np.concatenate([places[0], scores[0][:, None]], 1)
    np.testing.assert_allclose(from_coco_wholebody(joints, 200, 100), expected, rtol=1e-6)


def test_joints_keep_their_names():
    """Some of COCO-WholeBody's published numbers."""
    numbers = {"nose": 0, "left_eye": 1, "right_eye": 2, "left_shoulder": 5, "right_wrist": 10}
    numbers |= {"left_hip": 11, "right_ankle": 16, "left_big_toe": 17, "left_heel": 19}
    numbers |= {"right_small_toe": 21, "face_0": 23, "face_67": 90}
    numbers |= {"left_hand_palm": 91, "left_hand_pinky_4": 111, "right_hand_palm": 112}
    joints = random_joints()
    found = from_coco_wholebody(joints, 200, 100)
    for name, number in numbers.items():
        assert COCO_WHOLEBODY_133.joints[number] == name
        np.testing.assert_allclose(found[OPENPOSE_134.joints.index(name)], joints[number], 1e-6)


def test_the_neck_is_midway_and_as_good_as_the_worse_shoulder():
    joints = random_joints()
    joints[5:7] = (100, 40, 0.9), (60, 50, 0.4)
    np.testing.assert_allclose(from_coco_wholebody(joints, 200, 100)[1], (80, 45, 0.4), 1e-6)
    joints[5, 2] = 0
    assert not from_coco_wholebody(joints, 200, 100)[1].any()


def test_scores_end_at_one_and_unseen_joints_are_zeros():
    joints = random_joints()
    joints[0] = 20, 20, 1.7
    joints[1, 2] = -0.1
    joints[2] = -0.5, 20, 0.9
    joints[3] = 20, 99.5, 0.9
    joints[4] = 199, 99, 0.9  # the last pixel
    found = from_coco_wholebody(joints, 200, 100)
    eyes_and_ears = found[OPENPOSE_134.indices("left_eye", "right_eye", "left_ear", "right_ear")]
    np.testing.assert_allclose(found[0], (20, 20, 1))
    assert not eyes_and_ears[:3].any()
    np.testing.assert_allclose(eyes_and_ears[3], (199, 99, 0.9), rtol=1e-6)
