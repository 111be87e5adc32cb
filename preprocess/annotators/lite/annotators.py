"""The lite annotators: masks, key points and depth of the tracked person.

Masks are the segmentation that BlazePose's landmark network gives; key points its body, hands and
face; depth is geometry from its landmarks, not a measurement.
"""

import math

import numpy as np

from preprocess.annotators.lite.depth.lite import lite_depth
from preprocess.annotators.lite.depth.motion import BodyPose
from preprocess.annotators.sanity import CheckedKeypoints, check_poses
from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.smoothing import one_euro
from preprocess.annotators.tracked import PersonFrame, Region, person_boxes
from preprocess.pixels import Pixels
from shards.sample.keypoints import OPENPOSE_134, wholebody_from_blazepose
from shards.sample.skeleton import MIN_SCORE

__all__ = ["LiteDepth", "LiteMask", "LitePose"]

# Degrees that the frame's longer side spans, which nobody knows of footage: less than a phone's,
# more than a portrait's. Between 30 and 60 it matters little.
_ANGLE_OF_VIEW = 45.0


class LiteMask:
    """Soft masks of the tracked person; a frame without one is empty."""

    def masks(self, scene: Scene) -> Masks:
        return Masks(_masks(scene), person_boxes(scene.people, scene.pictures))


def _masks(scene: Scene) -> np.ndarray:
    """(T, S, S) uint8: the tracked person's."""
    size = scene.crop.size
    masks = np.zeros((len(scene.pictures), size, size), np.uint8)
    for mask, person in zip(masks, scene.people, strict=True):
        if person is not None:
            mask[:] = np.rint(person.mask.warped(scene.crop.to_clip, size, size) * 255)
    return masks


class LitePose:
    """Keypoints of the tracked person.

    `check` takes out what anatomy forbids; `smooth` runs the one-euro filter over the clip.
    """

    min_score = MIN_SCORE

    def __init__(self, *, smooth: bool, check: bool = True) -> None:
        self._smooth = smooth
        self._check = check

    def keypoints(self, scene: Scene) -> CheckedKeypoints:
        """One person's OPENPOSE_134 joints a frame, in pixels of the clip."""
        height, width = scene.pictures[0].shape[:2]
        points = np.zeros((len(scene.pictures), 1, len(OPENPOSE_134), 3), np.float32)
        for frame, person in zip(points, scene.people, strict=True):
            if person is not None:
                frame[0] = _joints(person, width, height)
        findings = None
        if self._check:
            points, findings = check_poses(points, scene.fps)
        if self._smooth:
            points = one_euro(points, scene.fps)
        return CheckedKeypoints.of(points, scene.crop.to_clip, findings)


def _joints(person: PersonFrame, width: int, height: int) -> np.ndarray:
    body = person.landmarks[:, [0, 1, 3]]
    joints = wholebody_from_blazepose(body, person.left_hand, person.right_hand, person.face)
    # The network also extrapolates joints beyond the image; nobody can see those.
    x, y = joints[:, 0], joints[:, 1]
    joints[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1), 2] = 0
    joints[joints[:, 2] == 0] = 0
    return joints


class LiteDepth:
    """Depth in metres relative to the hips, from the person's landmarks and mask."""

    label = "pose-derived, not measured"
    unit = "metres from the hips along the viewing axis, smaller is nearer"
    metres = True

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32, NaN outside the masks and where nobody was found.

        Without masks it takes the lite tracker's.
        """
        masks = _masks(scene) if masks is None else masks
        to_clip = scene.crop.to_clip
        poses = [
            _in_clip(person, frame, to_clip) if person else None
            for person, frame in zip(scene.people, scene.pictures, strict=True)
        ]
        return lite_depth(poses, masks, fps=scene.fps)


def _in_clip(person: PersonFrame, frame: Pixels, to_clip: np.ndarray) -> BodyPose:
    xy = person.landmarks[:, :2] @ to_clip[:, :2].T + to_clip[:, 2]
    landmarks = np.column_stack([xy, person.landmarks[:, 3]]).astype(np.float32)
    return BodyPose(landmarks, _along_axis(person.world, person.region, frame.shape))


def _along_axis(world: np.ndarray, region: Region, shape: tuple[int, ...]) -> np.ndarray:
    """`world` with z along the camera's viewing axis.

    The network sees a square cut out of the frame as if the camera looked at its middle: its z is
    along the line of sight to the person, whose feet are farther along the axis than it says where
    they stand high in a picture. x and y stay: perspective draws them as they are across the line.
    """
    height, width = shape[:2]
    focal = max(height, width) / (2 * math.tan(math.radians(_ANGLE_OF_VIEW / 2)))
    across = (region.x - width / 2) / focal
    down = (region.y - height / 2) / focal
    sight = np.array([across, down, 1.0]) / math.hypot(across, down, 1.0)
    right = np.array([1.0, 0.0, -across]) / math.hypot(1.0, across)
    below = np.cross(sight, right)
    turned: np.ndarray = world.copy()
    turned[:, 2] = world @ np.array([right[2], below[2], sight[2]])
    return turned
