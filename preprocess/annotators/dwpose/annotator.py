"""DWPose as an annotator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preprocess.annotators.dwpose.joints import from_coco_wholebody
from preprocess.annotators.dwpose.networks import PersonDetector, PoseNetwork
from preprocess.annotators.people import Finding, people_of_clip
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import PeopleMode, PersonMode
from shards.sample.keypoints import Keypoints
from shards.sample.skeleton import MIN_SCORE

__all__ = ["DWPose"]


class DWPose:
    """People are found in the whole frames, then the joints of each in their box."""

    min_score = MIN_SCORE

    def __init__(
        self,
        detector: PersonDetector,
        pose: PoseNetwork,
        *,
        people: PeopleMode,
        person: PersonMode,
        smooth: bool,
    ) -> None:
        """`people_of_clip` says what `people`, `person` and `smooth` do."""
        self._detector = detector
        self._pose = pose
        self._people = people
        self._person = person
        self._smooth = smooth

    def keypoints(self, scene: Scene) -> Keypoints:
        """The people's OPENPOSE_134 joints in pixels of the clip."""
        height, width = scene.frames[0].shape[:2]
        boxes = self._detector(scene.frames)

        def joints_of(wanted: Sequence[Finding]) -> list[np.ndarray]:
            found = self._pose([(scene.frames[frame], boxes[frame][n]) for frame, n in wanted])
            return [from_coco_wholebody(joints, width, height) for joints in found]

        return people_of_clip(
            scene, boxes, joints_of, people=self._people, person=self._person, smooth=self._smooth
        )
