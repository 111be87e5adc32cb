"""DWPose as an annotator."""

from collections.abc import Sequence

import numpy as np

from preprocess.annotators.dwpose.networks import PersonDetector, PoseNetwork
from preprocess.annotators.people import Finding, people_of_clip
from preprocess.annotators.sanity import CheckedKeypoints
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Settings
from preprocess.crop import Box
from shards.sample.keypoints import (
    COCO_18,
    FACE_68,
    FEET_6,
    HAND_21,
    OPENPOSE_134,
    JointSet,
)
from shards.sample.skeleton import MIN_SCORE

__all__ = ["COCO_WHOLEBODY_133", "DWPose", "from_coco_wholebody"]


class DWPose:
    """People are found in the whole frames, then the joints of each in their box."""

    min_score = MIN_SCORE

    def __init__(self, detector: PersonDetector, pose: PoseNetwork, settings: Settings) -> None:
        """`people_of_clip` says what the settings do."""
        self._detector = detector
        self._pose = pose
        self._settings = settings

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        """Everybody's box in each frame, (H, W, 3) uint8 RGB."""
        return [list(there) for there in self._detector(frames)]

    def keypoints(self, scene: Scene) -> CheckedKeypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip."""
        height, width = scene.frames[0].shape[:2]
        boxes = self._detector(scene.frames)

        def joints_of(wanted: Sequence[Finding]) -> list[np.ndarray]:
            found = self._pose([(scene.frames[frame], boxes[frame][n]) for frame, n in wanted])
            return [from_coco_wholebody(joints, width, height) for joints in found]

        return people_of_clip(scene, boxes, joints_of, self._settings)


_PAIRS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_WHOLEBODY_133 = JointSet(
    "coco_wholebody_133",
    (
        "nose",
        *(f"{side}_{joint}" for joint in _PAIRS for side in ("left", "right")),
        *FEET_6.joints,
        *FACE_68.joints,
        *(f"{side}_hand_{joint}" for side in ("left", "right") for joint in HAND_21.joints),
    ),
)
_NECK = COCO_18.joints.index("neck")
_OTHERS = [joint for joint in OPENPOSE_134.joints if joint != "neck"]
_TO, _FROM = OPENPOSE_134.indices(*_OTHERS), COCO_WHOLEBODY_133.indices(*_OTHERS)
_SHOULDERS = COCO_WHOLEBODY_133.indices("left_shoulder", "right_shoulder")


def from_coco_wholebody(found: np.ndarray, width: int, height: int) -> np.ndarray:
    """One person's (133, 3) x, y, score in an image of `width` x `height` -> (134, 3) float32.

    The neck is midway between the shoulders, scored as the worse of them. Scores are cut off at 1:
    the network's are heights of peaks, mostly below it. Joints that the network puts outside the
    image, or scores 0 or less, are zeros: nobody can see them.
    """
    joints = np.zeros((len(OPENPOSE_134), 3), np.float32)
    joints[_TO] = found[_FROM]
    joints[_NECK, :2] = found[_SHOULDERS, :2].mean(0)
    joints[_NECK, 2] = found[_SHOULDERS, 2].min()
    joints[:, 2] = joints[:, 2].clip(0, 1)
    x, y, score = joints.T
    seen = (score > 0) & (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    joints[~seen] = 0
    return joints
