"""Lite poses: BlazePose's body, hands and face as the project's keypoints."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.lite.person import PersonFrame
from preprocess.annotators.scene import Scene
from preprocess.annotators.smoothing import one_euro
from shards.sample.keypoints import OPENPOSE_134, Keypoints, wholebody_from_blazepose
from shards.sample.skeleton import MIN_SCORE

__all__ = ["LitePose"]


class LitePose:
    """Keypoints of the tracked person; `smooth` runs the one-euro filter over the clip."""

    min_score = MIN_SCORE

    def __init__(self, *, smooth: bool) -> None:
        self._smooth = smooth

    def keypoints(self, scene: Scene) -> Keypoints:
        """One person's OPENPOSE_134 joints a frame, in pixels of the clip."""
        height, width = scene.frames[0].shape[:2]
        points = np.zeros((len(scene.frames), 1, len(OPENPOSE_134), 3), np.float32)
        for frame, person in zip(points, scene.people, strict=True):
            if person is not None:
                frame[0] = _joints(person, width, height)
        if self._smooth:
            points = one_euro(points, scene.fps)
        return Keypoints(points, OPENPOSE_134).transformed(scene.crop.to_clip)


def _joints(person: PersonFrame, width: int, height: int) -> np.ndarray:
    body = person.landmarks[:, [0, 1, 3]]
    joints = wholebody_from_blazepose(body, person.left_hand, person.right_hand, person.face)
    # The network also extrapolates joints beyond the picture; nobody can see those.
    x, y = joints[:, 0], joints[:, 1]
    joints[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1), 2] = 0
    joints[joints[:, 2] == 0] = 0
    return joints
