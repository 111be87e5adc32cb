"""ViTPose as an annotator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from preprocess.annotators.dwpose.joints import COCO_WHOLEBODY_133, from_coco_wholebody
from preprocess.annotators.people import Finding, people_of_clip
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import PeopleMode, PersonMode
from preprocess.crop import Box
from shards.sample.keypoints import Keypoints
from shards.sample.skeleton import MIN_SCORE

__all__ = ["VitPose"]


class VitPose:
    """The body's joints of the people whom the mask annotator found, or else the lite tracker."""

    min_score = MIN_SCORE

    def __init__(
        self,
        pose: Callable[[Sequence[tuple[np.ndarray, Box]]], Sequence[np.ndarray]],
        *,
        people: PeopleMode,
        person: PersonMode,
        smooth: bool,
    ) -> None:
        """`pose` is a `PoseModel`; `people_of_clip` says what the others do."""
        self._pose = pose
        self._people = people
        self._person = person
        self._smooth = smooth

    def keypoints(self, scene: Scene) -> Keypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip; hands, face and feet score 0."""
        height, width = scene.frames[0].shape[:2]

        def joints_of(wanted: Sequence[Finding]) -> list[np.ndarray]:
            people = [(scene.frames[frame], scene.boxes[frame][n]) for frame, n in wanted]
            return [_from_coco(joints, width, height) for joints in self._pose(people)]

        return people_of_clip(
            scene,
            scene.boxes,
            joints_of,
            people=self._people,
            person=self._person,
            smooth=self._smooth,
        )


def _from_coco(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """(17, 3) in COCO's order, with which COCO-WholeBody's begins -> (134, 3)."""
    whole = np.zeros((len(COCO_WHOLEBODY_133), 3), np.float32)
    whole[: len(joints)] = joints
    return from_coco_wholebody(whole, width, height)
