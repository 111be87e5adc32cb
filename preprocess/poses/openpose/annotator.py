"""OpenPose as an annotator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preprocess.choices import Record
from preprocess.keypoints import COCO_18, FACE_68, HAND_21, OPENPOSE_134, Keypoints
from preprocess.poses.openpose.body import find_bodies
from preprocess.poses.openpose.networks import Network
from preprocess.poses.openpose.parts import face_square, find_faces, find_hands, hand_square
from preprocess.poses.people import Found, People, Person, people_of_clip
from preprocess.scene import Scene

__all__ = ["OpenPose"]

_FACE = OPENPOSE_134.joints.index(FACE_68.joints[0])
_HANDS = {s: OPENPOSE_134.joints.index(f"{s}_hand_palm") for s in ("left", "right")}


class OpenPose:
    """The body's 18 joints, and with their networks hands and face, found in the whole frames.

    A joint's score is the height of its peak in the network's map, at most 1. OpenPose takes every
    peak above 0.1 (0.05 in hands and faces) that belongs to somebody for a joint.
    """

    def __init__(
        self,
        record: Record,
        body: Network,
        hand: Network | None,
        face: Network | None,
        *,
        people: People,
        person: Person,
        smooth: bool,
    ) -> None:
        """`people_of_clip` says what `people`, `person` and `smooth` do."""
        self.record = record
        self._body = body
        self._hand = hand
        self._face = face
        self._people = people
        self._person = person
        self._smooth = smooth

    def keypoints(self, scene: Scene) -> Keypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip; feet always score 0."""
        bodies = find_bodies(self._body, scene.frames)
        joints = [[_body_joints(body) for body in bodies_there] for bodies_there in bodies]
        if self._hand:
            self._add_hands(self._hand, scene.frames, bodies, joints)
        if self._face:
            self._add_faces(self._face, scene.frames, bodies, joints)
        found = [
            [Found(_box(body), all_of_them) for body, all_of_them in zip(*there, strict=True)]
            for there in zip(bodies, joints, strict=True)
        ]
        return people_of_clip(
            scene, found, people=self._people, person=self._person, smooth=self._smooth
        )

    @staticmethod
    def _add_hands(
        network: Network,
        frames: Sequence[np.ndarray],
        bodies: Sequence[Sequence[np.ndarray]],
        joints: Sequence[Sequence[np.ndarray]],
    ) -> None:
        wanted = [
            (square, joints[t][n][start : start + len(HAND_21)])
            for t, bodies_there in enumerate(bodies)
            for n, body in enumerate(bodies_there)
            for side, start in _HANDS.items()
            if (square := hand_square(frames[t], body, side))
        ]
        for (_, into), hand in zip(
            wanted, find_hands(network, [square for square, _ in wanted]), strict=True
        ):
            into[:] = hand

    @staticmethod
    def _add_faces(
        network: Network,
        frames: Sequence[np.ndarray],
        bodies: Sequence[Sequence[np.ndarray]],
        joints: Sequence[Sequence[np.ndarray]],
    ) -> None:
        wanted = [
            (square, joints[t][n][_FACE : _FACE + len(FACE_68)])
            for t, bodies_there in enumerate(bodies)
            for n, body in enumerate(bodies_there)
            if (square := face_square(frames[t], body))
        ]
        for (_, into), face in zip(
            wanted, find_faces(network, [square for square, _ in wanted]), strict=True
        ):
            into[:] = face


def _body_joints(body: np.ndarray) -> np.ndarray:
    """(134, 3) float32 with the 18 joints of a body."""
    joints = np.zeros((len(OPENPOSE_134), 3), np.float32)
    joints[: len(COCO_18)] = body
    joints[:, 2] = joints[:, 2].clip(0, 1)
    return joints


def _box(body: np.ndarray) -> tuple[float, float, float, float]:
    seen = body[body[:, 2] > 0, :2]
    (x0, y0), (x1, y1) = seen.min(0), seen.max(0)
    return float(x0), float(y0), float(x1), float(y1)
