"""Fig. 4: whether the hole in the background is seen where the person has left it."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["border_contrast", "open_border"]

_NEAR = 2  # pixels around a person in which a border may be theirs


def open_border(hole_HW: np.ndarray, person_FHW: np.ndarray) -> np.ndarray:
    """Where the hole's border lies open in each frame, (F, H, W) bool: pixels just within it.

    Args:
        hole_HW: bool, the background's hole.
        person_FHW: bool, the person, near whom nothing is open: contrast may be theirs.
    """
    inside = hole_HW.astype(np.uint8)
    # Beyond the picture nothing is known: its edge is no border. A pixel in an inner corner has its
    # outside at a corner alone, across which no step is taken: it is no border either.
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = cv2.erode(inside, cross, borderValue=1)
    near = np.ones((2 * _NEAR + 1,) * 2, np.uint8)
    covered = np.stack([cv2.dilate(p.astype(np.uint8), near) for p in person_FHW])
    return (inside > edge)[None] & (covered == 0)


def border_contrast(
    frames_FHW3: np.ndarray, hole_HW: np.ndarray, person_FHW: np.ndarray
) -> float | None:
    """Mean step of colour across the open border of the hole, in [0, 1]; None where none is open.

    Of each pixel just within the border and its neighbours just outside, the mean over colours of
    the absolute difference, 1 between black and white. The true frame's own is what a place has
    without a hole: what exceeds it is the hole's.
    """
    open_FHW = open_border(hole_HW, person_FHW)
    frames = frames_FHW3.astype(np.float32) / 255
    total, count = 0.0, 0
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        outside = np.roll(~hole_HW, (-down, -right), axis=(0, 1))
        height, width = hole_HW.shape
        y, x = np.ogrid[:height, :width]
        within = (y + down >= 0) & (y + down < height) & (x + right >= 0) & (x + right < width)
        pairs = open_FHW & (outside & within)[None]
        moved = np.roll(frames, (-down, -right), axis=(1, 2))
        steps = np.abs(frames - moved).mean(axis=-1)
        total += float(steps[pairs].sum())
        count += int(pairs.sum())
    return total / count if count else None
