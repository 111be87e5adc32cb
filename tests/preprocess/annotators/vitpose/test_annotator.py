"""From people's boxes to the project's joints."""

import numpy as np
import pytest

from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Settings
from preprocess.annotators.vitpose.annotator import VitPose
from preprocess.crop import Crop
from shards.sample.keypoints import OPENPOSE_134

FRAME = np.zeros((80, 120, 3), np.uint8)
# The square begins at (20, 10); a pixel of the clip is two by two of the source.
CROP = Crop("center", 20, 10, 64, 32)
LEFT, RIGHT = (22.0, 12.0, 42.0, 60.0), (84.0, 14.0, 116.0, 72.0)
COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)


def pose(wanted):
    """Joint i lies i pixels right of and below the box's corner, and scores (i + 1) / 20."""
    steps = np.arange(len(COCO))
    return [
        np.stack([box[0] + steps, box[1] + steps, (steps + 1) / 20], 1).astype(np.float32)
        for _, box in wanted
    ]


def run(boxes, *, people="one", person="largest", smooth=False):
    settings = Settings(people=people, person=person, smooth=smooth, check_poses=False)
    annotator = VitPose(pose, settings)
    frames = (FRAME,) * len(boxes)
    return annotator.keypoints(Scene(frames, (), CROP, 30.0, boxes=tuple(boxes)))


def test_coco_s_joints_are_ours_by_name():
    keypoints = run([(LEFT,)])
    assert keypoints.joint_set is OPENPOSE_134
    assert keypoints.points.shape == (1, 1, 134, 3)
    found = dict(zip(OPENPOSE_134.joints, keypoints.points[0, 0], strict=True))
    for number, name in enumerate(COCO):
        x, y = CROP.to_clip @ (LEFT[0] + number, LEFT[1] + number, 1)
        np.testing.assert_allclose(found[name], (x, y, (number + 1) / 20), rtol=1e-5)
    middle = CROP.to_clip @ (LEFT[0] + 5.5, LEFT[1] + 5.5, 1)  # between the shoulders, 5 and 6
    np.testing.assert_allclose(found["neck"], (*middle, 6 / 20), rtol=1e-5)
    others = [joint for joint in OPENPOSE_134.joints if joint not in (*COCO, "neck")]
    assert not any(found[joint][2] for joint in others)


def test_one_person_or_all():
    both = [(LEFT, RIGHT)] * 2
    everybody = run(both, people="all").points
    assert everybody.shape[1] == 2
    np.testing.assert_array_equal(run(both).points, everybody[:, :1])
    nose = CROP.to_clip @ (RIGHT[0], RIGHT[1], 1)  # the larger one
    np.testing.assert_allclose(everybody[0, 0, 0, :2], nose, rtol=1e-5)
    central = run(both, person="central").points
    assert (central[0, 0, 0] != everybody[0, 0, 0]).any()


def test_nobody_scores_nothing():
    points = run([(), (LEFT,), ()]).points
    assert points[..., 2].any((1, 2)).tolist() == [False, True, False]
    assert not run([(), ()]).points[..., 2].any()


def test_smoothing_is_asked_for():
    moving = [((22.0 + 3 * (t % 2), 12.0, 42.0, 60.0),) for t in range(6)]
    raw, smooth = run(moving).points, run(moving, smooth=True).points
    ankle = OPENPOSE_134.joints.index("right_ankle")
    assert np.ptp(smooth[1:-1, 0, ankle, 0]) < np.ptp(raw[1:-1, 0, ankle, 0])
    np.testing.assert_array_equal(smooth[..., 2], raw[..., 2])


@pytest.mark.parametrize("people", ["one", "all"])
def test_a_joint_outside_the_image_is_not_seen(people):
    edge = (110.0, 70.0, 119.0, 79.0)
    points = run([(edge,)], people=people).points[0, 0]
    beyond = OPENPOSE_134.joints.index("left_ankle")
    assert points[beyond, 2] == 0
    assert points[OPENPOSE_134.joints.index("nose"), 2] > 0
