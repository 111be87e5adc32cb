"""Lite masks: the person segmentation that BlazePose's landmark network gives."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.choices import Record
from preprocess.annotators.scene import Scene

__all__ = ["LiteMask"]


class LiteMask:
    """Soft masks of the tracked person; a frame without one is empty."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def masks(self, scene: Scene) -> np.ndarray:
        """(T, S, S) uint8."""
        size = scene.crop.size
        masks = np.zeros((len(scene.frames), size, size), np.uint8)
        for mask, person in zip(masks, scene.people, strict=True):
            if person is not None:
                mask[:] = np.rint(person.mask.warped(scene.crop.to_clip, size, size) * 255)
        return masks
