"""The square of the source that becomes the clip: one for all its frames, so nothing jumps."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = [
    "Box",
    "Crop",
    "around",
    "as_box",
    "centre_crop",
    "main_box",
    "mask_box",
    "mask_parts",
    "rescaled",
    "subject_crop",
    "whole_frame",
]

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in source pixels

PADDING = 0.1  # of the person's longer side, added on each side
_PERSON = 127  # values of masks above this are the person
# A mask's parts smaller than this fraction of its largest are specks, and widen no box.
_SPECK = 0.002
SAME_SHAPE = 0.02  # pictures whose ratios of width to height differ by less have one shape


@dataclass(frozen=True)
class Crop:
    """A square of `side` source pixels from (x, y), resized to `size` x `size`.

    It may reach beyond the frame; what lies outside is black.
    """

    mode: str  # how it was chosen: "center", "subject", "video" or "none"
    x: int
    y: int
    side: int
    size: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in source pixels; x1 and y1 are exclusive."""
        return self.x, self.y, self.x + self.side, self.y + self.side

    @property
    def to_clip(self) -> np.ndarray:
        """(2, 3) float64: source pixel -> clip pixel. Pixel centres are integers in both."""
        scale = self.size / self.side
        shift = 0.5 * scale - 0.5
        return np.array(
            [[scale, 0, shift - self.x * scale], [0, scale, shift - self.y * scale]], np.float64
        )

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, C) or (H, W) uint8 -> the same channels at (size, size)."""
        height, width = frame.shape[:2]
        x0, y0, x1, y1 = self.box
        inside = frame[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        outside = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
        if any(outside):
            inside = cv2.copyMakeBorder(inside, *outside, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        shrinks = self.side > self.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(inside, (self.size, self.size), interpolation=how)


def centre_crop(width: int, height: int, size: int) -> Crop:
    """The largest square in the middle of the frame."""
    side = min(width, height)
    return Crop("center", (width - side) // 2, (height - side) // 2, side, size)


def whole_frame(width: int, height: int, size: int) -> Crop:
    """The whole frame, with black bars to make it square."""
    side = max(width, height)
    return Crop("none", (width - side) // 2, (height - side) // 2, side, size)


def around(boxes: Iterable[Box]) -> Box | None:
    """The box around all of them; None where there is none."""
    corners = np.array(list(boxes), np.float64).reshape(-1, 4)
    if not len(corners):
        return None
    (x0, y0), (x1, y1) = corners[:, :2].min(0), corners[:, 2:].max(0)
    return float(x0), float(y0), float(x1), float(y1)


def as_box(corners: np.ndarray) -> Box:
    """Of (4,) x0, y0, x1, y1."""
    x0, y0, x1, y1 = corners.tolist()
    return float(x0), float(y0), float(x1), float(y1)


def main_box(mask: np.ndarray) -> Box | None:
    """Around the person in a mask, (H, W) uint8 or bool, without specks; None when it is empty."""
    return around(mask_parts(mask))


def mask_parts(mask: np.ndarray) -> list[Box]:
    """Around each connected part of a mask that is not a speck."""
    person = (mask if mask.dtype == bool else mask > _PERSON).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(person, connectivity=8)
    x, y, width, height, area = stats[1:].T.astype(np.float64)
    kept = area >= _SPECK * area.max(initial=0)
    corners = np.stack([x, y, x + width, y + height], 1)[kept]
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in corners.tolist()]


def mask_box(mask: np.ndarray) -> Box | None:
    """Around all of a mask, (H, W) uint8, that is right to the pixel, as of rendered people."""
    person = mask > _PERSON
    if not person.any():
        return None
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def subject_crop(
    boxes: Iterable[Box], width: int, height: int, size: int, *, mode: str = "subject"
) -> Crop:
    """A square around everything that the person's boxes cover, padded.

    The padding gives way before the square leaves the frame; it leaves only when the person's
    extent itself is longer than the frame's shorter side. Without a box: `centre_crop`.
    """
    box = around(boxes)
    if box is None:
        centred = centre_crop(width, height, size)
        return Crop(mode, centred.x, centred.y, centred.side, size)
    x0, y0 = np.clip(box[:2], 0, (width, height))
    x1, y1 = np.clip(box[2:], 0, (width, height))
    extent = max(x1 - x0, y1 - y0, 8.0)
    side = round(extent * (1 + 2 * PADDING))
    if side > min(width, height):
        side = max(min(width, height), min(side, round(extent)))

    def start(low: float, high: float, length: int) -> int:
        middle = (low + high) / 2
        if side >= length:  # the frame lies within the square
            return (length - side) // 2
        return int(np.clip(round(middle - side / 2), 0, length - side))

    return Crop(mode, start(x0, x1, width), start(y0, y1, height), side, size)


def rescaled(crop: Crop, old: tuple[int, int], new: tuple[int, int]) -> Crop:
    """The same square in the same picture, whose size goes from `old` to `new`, (width, height).

    Raises ValueError when the picture's shape is another: then it is not the same picture.
    """
    if old == new:
        return crop
    across, down = new[0] / old[0], new[1] / old[1]
    if abs(across / down - 1) > SAME_SHAPE:
        raise ValueError(f"{old[0]}x{old[1]} and {new[0]}x{new[1]} differ in shape")
    return Crop(
        crop.mode,
        round(crop.x * across),
        round(crop.y * down),
        max(1, round(crop.side * (across + down) / 2)),
        crop.size,
    )
