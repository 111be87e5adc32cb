"""OpenPose as an annotator."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from preprocess.annotators.openpose.body import find_bodies
from preprocess.annotators.openpose.networks import Network
from preprocess.annotators.openpose.parts import (
    Square,
    face_square,
    find_faces,
    find_hands,
    hand_square,
)
from preprocess.annotators.people import Finding, people_of_clip
from preprocess.annotators.sanity import CheckedKeypoints
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Settings
from preprocess.crop import Box
from shards.sample.keypoints import COCO_18, FACE_68, HAND_21, OPENPOSE_134

__all__ = ["OpenPose"]

_FACE = OPENPOSE_134.joints.index(FACE_68.joints[0])
_HANDS = {s: OPENPOSE_134.joints.index(f"{s}_hand_palm") for s in ("left", "right")}


class OpenPose:
    """The body's 18 joints, and with their networks hands and face, found in the whole frames.

    A joint's score is the height of its peak in the network's map, at most 1. OpenPose takes every
    peak above 0.1 (0.05 in hands and faces) that belongs to somebody for a joint, and draws it.
    """

    min_score = 0.05

    def __init__(
        self,
        body: Network,
        hand: Network | None,
        face: Network | None,
        settings: Settings,
    ) -> None:
        """`people_of_clip` says what the settings do."""
        self._body = body
        self._hand = hand
        self._face = face
        self._settings = settings

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        """Everybody's box in each frame, (H, W, 3) uint8 RGB."""
        return [[_box(body) for body in there] for there in find_bodies(self._body, frames)]

    def keypoints(self, scene: Scene) -> CheckedKeypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip; feet always score 0."""
        bodies = find_bodies(self._body, scene.frames)

        def joints_of(wanted: Sequence[Finding]) -> list[np.ndarray]:
            return self._joints([(scene.frames[frame], bodies[frame][n]) for frame, n in wanted])

        boxes = [[_box(body) for body in there] for there in bodies]
        return people_of_clip(scene, boxes, joints_of, self._settings)

    def _joints(self, people: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """(134, 3) float32 of each (frame, body), with hands and face where they are wanted."""
        joints = np.zeros((len(people), len(OPENPOSE_134), 3), np.float32)
        for into, (_, body) in zip(joints, people, strict=True):
            into[: len(COCO_18)] = body
        if self._hand:
            hands = [
                (into[start : start + len(HAND_21)], square)
                for into, (frame, body) in zip(joints, people, strict=True)
                for side, start in _HANDS.items()
                if (square := hand_square(frame, body, side))
            ]
            _fill(hands, partial(find_hands, self._hand))
        if self._face:
            faces = [
                (into[_FACE : _FACE + len(FACE_68)], square)
                for into, (frame, body) in zip(joints, people, strict=True)
                if (square := face_square(frame, body))
            ]
            _fill(faces, partial(find_faces, self._face))
        joints[..., 2] = joints[..., 2].clip(0, 1)
        return list(joints)


def _fill(
    wanted: Sequence[tuple[np.ndarray, Square]],
    find: Callable[[Sequence[Square]], Sequence[np.ndarray]],
) -> None:
    found = find([square for _, square in wanted])
    for (into, _), joints in zip(wanted, found, strict=True):
        into[:] = joints


def _box(body: np.ndarray) -> Box:
    seen = body[body[:, 2] > 0, :2]
    (x0, y0), (x1, y1) = seen.min(0), seen.max(0)
    return float(x0), float(y0), float(x1), float(y1)
