"""Where a network looks: a rotated square of the frame, and how squares follow from points.

Coordinates are pixels of the frame, x to the right and y down. A rotation is in radians and turns
the square clockwise as seen on the screen. The networks were trained with pixel (0, 0) of their
input on the square's corner, not half a pixel inside it, so the affines here do the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = [
    "Region",
    "around_box",
    "from_circle",
    "letterbox",
    "rotation_between",
    "tiles",
]


@dataclass(frozen=True)
class Region:
    """A square: centre `x`, `y` and side `size` in pixels of the frame, `rotation` in radians."""

    x: float
    y: float
    size: float
    rotation: float = 0.0

    def to_frame(self, side: float = 1.0) -> np.ndarray:
        """The (2, 3) float64 affine from points of a `side` x `side` crop to the frame."""
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        turn = np.array([[cos, -sin], [sin, cos]]) * (self.size / side)
        offset = np.array([self.x, self.y]) - turn @ np.full(2, side / 2)
        return np.column_stack([turn, offset])

    def crop(self, frame: np.ndarray, side: int, *, zeros: bool = False) -> np.ndarray:
        """Cut the square out of `frame`, (H, W, 3) uint8, as (side, side, 3) uint8.

        Outside the frame its edge is repeated, or with `zeros` it is black.
        """
        return cv2.warpAffine(
            frame,
            self.to_frame(side),
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT if zeros else cv2.BORDER_REPLICATE,
        )

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the square, whose corners are (0, 0) and (1, 1), in the frame."""
        affine = self.to_frame()
        return points @ affine[:, :2].T + affine[:, 2]

    def relative(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `place`."""
        affine = self.to_frame()
        return np.linalg.solve(affine[:, :2], (points - affine[:, 2]).T).T

    def grown(self, scale: float, *, down: float = 0.0) -> Region:
        """Moved by `down` of its side along its own vertical axis, then `scale` times as large."""
        shift = self.size * down
        return Region(
            self.x - shift * math.sin(self.rotation),
            self.y + shift * math.cos(self.rotation),
            self.size * scale,
            self.rotation,
        )

    def near(self, other: Region, *, turn: float, shift: float, scale: float) -> bool:
        """Whether the squares agree: rotation within `turn` radians, x, y and size within
        the shares `shift` and `scale` of this square's side."""
        return (
            abs(_wrapped(self.rotation - other.rotation)) <= turn
            and max(abs(self.x - other.x), abs(self.y - other.y)) <= shift * self.size
            and abs(self.size - other.size) <= scale * self.size
        )

    def overlap(self, other: Region) -> float:
        """Intersection over union in [0, 1], of the squares as if neither were rotated."""
        reach = (self.size + other.size) / 2
        width = min(reach - abs(self.x - other.x), self.size, other.size)
        height = min(reach - abs(self.y - other.y), self.size, other.size)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.size**2 + other.size**2 - shared)


def letterbox(frame: np.ndarray) -> Region:
    """The smallest upright square that holds the whole `frame`, with bars on two sides."""
    height, width = frame.shape[:2]
    return Region(width / 2, height / 2, float(max(height, width)))


def tiles(frame: np.ndarray) -> list[Region]:
    """Overlapping upright squares, .6 as large as the letterbox, that together cover `frame`.

    People too small for a detector in the whole frame are found in these.
    """
    height, width = frame.shape[:2]
    side = 0.6 * max(height, width)
    return [
        Region(x, y, side) for y in _tile_centres(height, side) for x in _tile_centres(width, side)
    ]


def _tile_centres(length: int, side: float) -> list[float]:
    """Centres of tiles along an axis, neighbours sharing at least a third of their side."""
    if length <= side:
        return [length / 2]
    count = 1 + math.ceil((length - side) / (side * 2 / 3) - 1e-9)
    return np.linspace(side / 2, length - side / 2, count).tolist()


def rotation_between(start: np.ndarray, end: np.ndarray, upright: float) -> float:
    """The rotation of a square in which the vector from `start` to `end` points to `upright`.

    `upright` is in degrees, counter-clockwise from the x axis as seen on the screen: 90 is up.
    """
    x, y = (end - start).tolist()
    return _wrapped(math.radians(upright) - math.atan2(-y, x))


def from_circle(centre: np.ndarray, edge: np.ndarray, upright: float) -> Region:
    """The square around the circle through `edge`, turned so that `edge` is at `upright` degrees.

    This is how the pose and hand networks say where a person or hand is: two alignment points.
    """
    size = 2 * math.dist(centre.tolist(), edge.tolist())
    return Region(float(centre[0]), float(centre[1]), size, rotation_between(centre, edge, upright))


def around_box(points: np.ndarray, rotation: float = 0.0, *, tilted: bool = False) -> Region:
    """The square with the centre and the longer side of the box around `points` (N, 2).

    The box is upright, or with `tilted` turned by `rotation` as the square itself is.
    """
    cos, sin = math.cos(rotation), math.sin(rotation)
    axes = np.array([[cos, -sin], [sin, cos]]) if tilted else np.eye(2)
    turned = points @ axes
    low, high = turned.min(axis=0), turned.max(axis=0)
    x, y = (axes @ ((low + high) / 2)).tolist()
    return Region(x, y, float((high - low).max()), rotation)


def _wrapped(angle: float) -> float:
    """`angle` in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi
