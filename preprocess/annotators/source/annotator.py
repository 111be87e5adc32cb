"""The source's own masks, cut out as its frames are."""

import numpy as np

from preprocess.annotators.scene import Masks, Scene
from preprocess.crop import Box
from preprocess.errors import ClipError

__all__ = ["SourceMask"]

_PERSON = 127  # masks above this are the person


class SourceMask:
    """Soft edges stay: what a pixel is worth is decided by whoever uses the mask."""

    def masks(self, scene: Scene) -> Masks:
        """Raises ClipError when a frame has none, or one of another size."""
        if len(scene.masks) != len(scene.frames):
            raise ClipError("the source has no masks for this video: choose another --mask")
        cut, boxes = [], []
        for mask, frame in zip(scene.masks, scene.frames, strict=True):
            if mask is None:
                raise ClipError("the source has no mask for one of the frames")
            (height, width), (rows, columns) = frame.shape[:2], mask.shape
            if (height, width) != (rows, columns):
                raise ClipError(f"a mask of {columns}x{rows} for a frame of {width}x{height}")
            cut.append(scene.crop.apply(mask))
            boxes.append(_box(mask))
        return Masks(np.stack(cut), tuple(boxes))


def _box(mask: np.ndarray) -> tuple[Box, ...]:
    """Around whoever is in the mask, (H, W) uint8: people in one mask are not told apart."""
    person = mask > _PERSON
    if not person.any():
        return ()
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return ((float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),)
