"""What a viewer shows of one decoded frame: RGB that is upright, with square pixels, opaque.

Each function here depends on the frame alone, never on those decoded before it, so that a frame
looks the same wherever decoding began. What was changed beyond turning it upright is noted in
words; a clip's json counts the notes of its frames under `picture`.
"""

from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np

__all__ = ["ON_WHITE", "WHITE", "laid_on", "oriented", "show"]

# What pages, and tools that cut people out, lay them on.
WHITE = 255
ON_WHITE = "transparent pixels laid on white"
_MIRRORED = "mirrored as its display matrix says"


def show(frame: Any, aspect: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W, 3) uint8 RGB of a decoded PyAV frame, and notes of what was done to it.

    `aspect` is the width of a pixel by its height.
    """
    notes: list[str] = []
    if _has_alpha(frame.format.name):
        rgb, laid = laid_on(frame.to_ndarray(format="rgba"), WHITE)
        if laid:
            notes.append(ON_WHITE)
    else:
        rgb = frame.to_ndarray(format="rgb24")
    if aspect != 1:
        width = max(1, round(rgb.shape[1] * aspect))
        rgb = cv2.resize(rgb, (width, rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
        rgb = oriented(rgb, a, b, c, d)
        if a * d - b * c < 0:
            notes.append(_MIRRORED)
    return rgb, tuple(notes)


def oriented(rgb: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """A picture as a display matrix shows it: x' = a x + c y, y' = b x + d y, y pointing down.

    Of the matrix only which of the eight orientations is nearest matters.
    """
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, flip_x, flip_y = rgb.transpose(1, 0, 2), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    rgb = rgb[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return np.ascontiguousarray(rgb)


def laid_on(rgba: np.ndarray, ground: int) -> tuple[np.ndarray, bool]:
    """(H, W, 3) of (H, W, 4) uint8 laid on a grey in [0, 255], and whether it showed anywhere.

    What a file hides under its transparency is not shown.
    """
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[..., :3]), False
    opaque = alpha.astype(np.uint16)
    rgb = rgba[..., :3] * opaque + np.uint16(ground) * (255 - opaque)
    return ((rgb + 127) // 255).astype(np.uint8), True


@lru_cache(maxsize=256)
def _has_alpha(pixel_format: str) -> bool:
    # The colours of a palette may be transparent.
    return pixel_format == "pal8" or any(
        c.is_alpha for c in av.VideoFormat(pixel_format).components
    )
