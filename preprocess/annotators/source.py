"""The source's own masks, cut out as its frames are."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.choices import Record
from preprocess.annotators.scene import Scene
from preprocess.errors import ClipError

__all__ = ["SourceMask"]


class SourceMask:
    """Soft edges stay: what a pixel is worth is decided by whoever uses the mask."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def masks(self, scene: Scene) -> np.ndarray:
        """(T, S, S) uint8. Raises ClipError when a frame has none, or one of another size."""
        if len(scene.masks) != len(scene.frames):
            raise ClipError("the source has no masks for this video: choose another --mask")
        cut = []
        for mask, frame in zip(scene.masks, scene.frames, strict=True):
            if mask is None:
                raise ClipError("the source has no mask for one of the frames")
            (height, width), (rows, columns) = frame.shape[:2], mask.shape
            if (height, width) != (rows, columns):
                raise ClipError(f"a mask of {columns}x{rows} for a frame of {width}x{height}")
            cut.append(scene.crop.apply(mask))
        return np.stack(cut)
