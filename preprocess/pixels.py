"""Pictures of which only the parts that are used are converted to RGB."""

import math
from typing import Protocol

import numpy as np

from preprocess.crop import Box

__all__ = ["Partial", "Pixels", "all_of", "pixels_in"]


class Partial(Protocol):
    """A picture that is there, and becomes RGB by parts."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3)."""
        ...

    def whole(self) -> np.ndarray:
        """All of it: (H, W, 3) uint8 RGB."""
        ...

    def part(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of which the pixels in a box within the picture are right; others
        may be black."""
        ...


Pixels = np.ndarray | Partial
"""(H, W, 3) uint8 RGB, or a picture that becomes it by parts."""


def all_of(picture: Pixels) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return picture if isinstance(picture, np.ndarray) else picture.whole()


def pixels_in(picture: Pixels, box: Box) -> np.ndarray:
    """(H, W, 3) uint8 RGB that is right in a box, and at the picture's edge where the box reaches
    beyond it; elsewhere it may be black."""
    if isinstance(picture, np.ndarray):
        return picture
    if not np.isfinite(box).all():
        return picture.whole()
    height, width = picture.shape[:2]
    x0, x1 = _within(box[0], box[2], width)
    y0, y1 = _within(box[1], box[3], height)
    return picture.part(x0, y0, x1, y1)


def _within(low: float, high: float, most: int) -> tuple[int, int]:
    first = min(max(math.floor(low), 0), most - 1)
    return first, max(min(math.ceil(high), most), first + 1)
