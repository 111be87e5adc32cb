"""Grounded-SAM as a mask annotator: detect people, choose among them, cut them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from preprocess.annotators.choices import PeopleMode, PersonMode, Record, SamSize
from preprocess.annotators.grounded_sam import detector, segmenter
from preprocess.annotators.grounded_sam.choose import Detections, prompts
from preprocess.annotators.grounded_sam.detector import Detector
from preprocess.annotators.grounded_sam.segmenter import Segmenter
from preprocess.annotators.grounded_sam.smooth import smooth
from preprocess.annotators.provenance import BERT_FILES, DETECTOR_FILE, SAM_FILES
from preprocess.annotators.scene import Scene
from preprocess.annotators.torch.batching import BatchSize

__all__ = ["GroundedSam", "load"]


class GroundedSam:
    """Masks of one person of the clip, or of all of them; a frame without anybody is empty.

    The masks are made at the source's size, yes or no for each pixel, and brought to the clip's
    square as its frames are: averaged where it shrinks, which gives soft edges as the lite
    annotator's masks have.
    """

    def __init__(
        self,
        record: Record,
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
        self.record = record
        self._detect = detect
        self._segment = segment
        self._people: PeopleMode = people
        self._person: PersonMode = person
        self._smooth = smooth

    def masks(self, scene: Scene) -> np.ndarray:
        """(T, S, S) uint8: 0 background, 255 person."""
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
        return np.stack([scene.crop.apply(mask.astype(np.uint8) * 255) for mask in masks])


def load(
    record: Record,
    locate: Callable[[str], Path],
    *,
    sam: SamSize,
    people: PeopleMode,
    person: PersonMode,
    smooth: bool,
    device: str,
    half: bool,
    batch: BatchSize,
) -> GroundedSam:
    """The annotator with both networks on `device`; `locate` gives the path of a registry's file.

    `half` is float16, on a GPU only; `batch` is how many frames go through a network at once.
    Raises InputError when a file or a package is absent, or a file does not hold its network.
    """
    bert = [locate(name) for name in BERT_FILES]
    found = detector.load_network(locate(DETECTOR_FILE), bert[0].parent)
    cut = segmenter.load_network(locate(SAM_FILES[sam]), sam)
    return GroundedSam(
        record,
        Detector(found, device=device, half=half, batch=batch),
        Segmenter(cut, device=device, half=half, batch=batch),
        people=people,
        person=person,
        smooth=smooth,
    )
