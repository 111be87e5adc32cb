"""Lite masks: the person segmentation that BlazePose's landmark network gives."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.lite.extent import person_boxes
from preprocess.annotators.scene import Masks, Scene

__all__ = ["LiteMask", "lite_masks"]


class LiteMask:
    """Soft masks of the tracked person; a frame without one is empty."""

    def masks(self, scene: Scene) -> Masks:
        return Masks(lite_masks(scene), person_boxes(scene.people, scene.frames))


def lite_masks(scene: Scene) -> np.ndarray:
    """(T, S, S) uint8: the tracked person's."""
    size = scene.crop.size
    masks = np.zeros((len(scene.frames), size, size), np.uint8)
    for mask, person in zip(masks, scene.people, strict=True):
        if person is not None:
            mask[:] = np.rint(person.mask.warped(scene.crop.to_clip, size, size) * 255)
    return masks
