"""The source's own masks, cut out as its frames are."""

from collections.abc import Sequence

import numpy as np

from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.spec import PeopleMode
from preprocess.crop import Box, main_box
from preprocess.errors import ClipError

__all__ = ["SourceMask"]


class SourceMask:
    """Soft edges stay: what a pixel is worth is decided by whoever uses the mask."""

    def __init__(self, people: PeopleMode = "one") -> None:
        self._people = people

    def masks(self, scene: Scene) -> Masks:
        """Raises ClipError when a frame has none, or one of another size."""
        if scene.truths:
            return self._cut(scene, [truth.mask_of(self._people) for truth in scene.truths])
        if len(scene.masks) != len(scene.pictures):
            raise ClipError("the source has no masks for this video: choose another --mask")
        return self._cut(scene, scene.masks)

    def _cut(self, scene: Scene, masks: Sequence[np.ndarray | None]) -> Masks:
        cut: list[np.ndarray] = []
        boxes: list[tuple[Box, ...]] = []
        for mask, frame in zip(masks, scene.pictures, strict=True):
            if mask is None:
                raise ClipError("the source has no mask for one of the frames")
            (height, width), (rows, columns) = frame.shape[:2], mask.shape
            if (height, width) != (rows, columns):
                raise ClipError(f"a mask of {columns}x{rows} for a frame of {width}x{height}")
            cut.append(scene.crop.apply(mask))
            box = main_box(mask)
            boxes.append(() if box is None else (box,))
        return Masks(np.stack(cut), tuple(boxes))
