"""Grounded-SAM as a mask annotator: detect people, choose among them, cut them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from preprocess.annotators.grounded_sam.choose import Detections, prompts
from preprocess.annotators.grounded_sam.smooth import smooth
from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.spec import PeopleMode, PersonMode

__all__ = ["GroundedSam"]


class GroundedSam:
    """Masks of one person of the clip, or of all of them; a frame without anybody is empty.

    The masks are made at the source's size, yes or no for each pixel, and brought to the clip's
    square as its frames are: averaged where it shrinks, which gives soft edges as the lite
    annotator's masks have.
    """

    def __init__(
        self,
        detect: Callable[[Sequence[np.ndarray]], list[Detections]],
        segment: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray],
        *,
        people: PeopleMode,
        person: PersonMode,
        smooth: bool,
    ) -> None:
        """`detect` and `segment` are a `Detector` and a `Segmenter`.

        `smooth` bridges single frames in which a person was not detected, and removes flicker.
        """
        self._detect = detect
        self._segment = segment
        self._people = people
        self._person = person
        self._smooth = smooth

    def masks(self, scene: Scene) -> Masks:
        height, width = scene.frames[0].shape[:2]
        boxes = prompts(
            self._detect(scene.frames),
            width,
            height,
            people=self._people,
            person=self._person,
            bridge=self._smooth,
        )
        masks = self._segment(scene.frames, boxes)
        if self._smooth:
            masks = smooth(masks, scene.fps)
        clip = np.stack([scene.crop.apply(mask.astype(np.uint8) * 255) for mask in masks])
        return Masks(clip, tuple(tuple(map(tuple, there.tolist())) for there in boxes))
