"""The output's frame: the square of the background that holds the whole motion and a tenth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocess.crop import PADDING, Crop
from shards.sample.keypoints import COCO_18, are_seen

__all__ = [
    "Fit",
    "box_of_drawings",
    "box_of_motion",
    "fit",
    "from_square",
    "hole_in",
    "square_around",
    "whole",
]

_BODY = len(COCO_18)
# Key points end at the eyes, wrists and ankles: a person reaches this much of their size further.
_BEYOND_JOINTS = 0.1
_DRAWN = 24  # of 255: brighter is part of a drawn skeleton


@dataclass(frozen=True)
class Fit:
    """How the driving picture lies over the background: scaled by `scale`, then shifted."""

    scale: float
    x: float
    y: float

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {"scale": round(self.scale, 6), "shift": [round(self.x, 3), round(self.y, 3)]}


def fit(inner: tuple[int, int], outer: tuple[int, int]) -> Fit:
    """Letterboxed: the whole of a picture of `inner` (width, height), as large as it goes into one
    of `outer`, in its middle. Pixels' centres are integers."""
    scale = min(outer[0] / inner[0], outer[1] / inner[1])
    x, y = (
        0.5 * (whole - 1) - scale * 0.5 * (part - 1)
        for part, whole in zip(inner, outer, strict=True)
    )
    return Fit(scale, x, y)


def box_of_motion(keypoints: np.ndarray, min_score: float) -> tuple[float, float, float, float]:
    """Around all that is drawn of (F, J, 3), and the person around the joints: x0, y0, x1, y1.

    Raises ValueError where no joint is seen.
    """
    seen = are_seen(keypoints, min_score)
    if not seen.any():
        raise ValueError("no joint is seen in any frame")
    body = seen[:, :_BODY]
    xy = keypoints[..., :2]
    low = np.where(body[..., None], xy[:, :_BODY], np.inf).min(1)
    high = np.where(body[..., None], xy[:, :_BODY], -np.inf).max(1)
    with np.errstate(invalid="ignore"):
        beyond = _BEYOND_JOINTS * (high - low).max(-1, keepdims=True)
        low, high = low - beyond, high + beyond
    other = xy[seen]
    low = np.minimum(low.min(0), other.min(0))
    high = np.maximum(np.where(np.isfinite(high), high, -np.inf).max(0), other.max(0))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def box_of_drawings(skeletons: np.ndarray) -> tuple[float, float, float, float]:
    """The same of (F, H, W, 3) drawings on black. Raises ValueError where all are black."""
    drawn = skeletons.max((0, 3)) > _DRAWN
    if not drawn.any():
        raise ValueError("nothing is drawn in any frame")
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    beyond = _BEYOND_JOINTS * max(x1 - x0, y1 - y0)
    return x0 - beyond, y0 - beyond, x1 + beyond, y1 + beyond


def square_around(
    box: tuple[float, float, float, float], picture: tuple[int, int], size: int
) -> Crop:
    """The square that holds the box and a tenth of its longer side all around.

    Where the box is longer one way it may lie anywhere across the other; of those places it takes
    the one where least of it is outside of the picture, (width, height), nearest to the middle.
    """
    x0, y0, x1, y1 = box
    longer = max(x1 - x0, y1 - y0, 8.0)
    padding = PADDING * longer
    side = int(np.ceil(longer + 2 * padding))

    def start(low: float, high: float, length: int) -> int:
        first, last = high + padding - side, low - padding
        middle = (low + high) / 2 - side / 2
        inside = np.clip(middle, min(0, length - side), max(0, length - side))
        return round(float(np.clip(inside, first, max(first, last))))

    return Crop("motion", start(x0, x1, picture[0]), start(y0, y1, picture[1]), side, size)


def whole(picture: tuple[int, int], size: int) -> Crop:
    """The square around the whole picture, (width, height)."""
    side = max(picture)
    return Crop("whole", (picture[0] - side) // 2, (picture[1] - side) // 2, side, size)


def from_square(points: np.ndarray, box: Sequence[int], size: int) -> np.ndarray:
    """Key points (..., 3) of a crop of `size` pixels in the picture's pixels, in which the crop is
    x0, y0, x1, y1 = `box`. Pixels' centres are integers in both."""
    x0, y0, x1, _ = box
    scale = (x1 - x0) / size
    moved = points.copy()
    moved[..., 0] = (points[..., 0] + 0.5) * scale - 0.5 + x0
    moved[..., 1] = (points[..., 1] + 0.5) * scale - 0.5 + y0
    return moved


def hole_in(crop: Crop, mask: np.ndarray) -> np.ndarray:
    """The mask (H, W) uint8 of a picture over the square: what lies outside of it is hole."""
    known = crop.apply(255 - mask)
    hole: np.ndarray = 255 - known
    return hole
