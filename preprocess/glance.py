"""A frame as it is looked at to find cuts: small and grey."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

__all__ = ["BLOCK", "Glance", "glance_of_image", "glance_of_picture"]

# The sides of small pictures are multiples of this.
BLOCK = 8
_LONG_SIDE = 64


@dataclass(frozen=True, eq=False)
class Glance:
    """`grey` is (h, w) float32 in [0, 255], about 64 on its longer side; `size` is the frame's
    own, width and height in pixels."""

    index: int
    grey: np.ndarray
    size: tuple[int, int]


def glance_of_image(index: int, rgb: np.ndarray) -> Glance:
    """Of (H, W, 3) uint8 RGB."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, _small(width, height), interpolation=cv2.INTER_AREA)
    return Glance(index, small, (width, height))


def glance_of_picture(index: int, picture: Any) -> Glance:
    """Of a decoded `av.VideoFrame`, as it is stored: neither turned nor with square pixels."""
    width, height = _small(picture.width, picture.height)
    small = picture.reformat(width, height, "gray16le", interpolation="AREA")
    grey = small.to_ndarray().astype(np.float32) / 257
    return Glance(index, grey, (picture.width, picture.height))


def _small(width: int, height: int) -> tuple[int, int]:
    """Whole blocks, about as wide for its height as the frame."""
    scale = _LONG_SIDE / max(width, height)

    def side(pixels: int) -> int:
        return max(2, round(pixels * scale / BLOCK)) * BLOCK

    return side(width), side(height)
