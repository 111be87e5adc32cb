"""Where a network looks: how squares of the frame follow from points (see `tracked`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.tracked import Region, wrapped
from preprocess.pixels import Pixels

__all__ = ["Steadier", "around_box", "from_circle", "letterbox", "rotation_between", "tiles"]


def letterbox(frame: Pixels) -> Region:
    """The smallest upright square that holds the whole `frame`, with bars on two sides."""
    height, width = frame.shape[:2]
    return Region(width / 2, height / 2, float(max(height, width)))


def tiles(frame: Pixels) -> list[Region]:
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
    return wrapped(math.radians(upright) - math.atan2(-y, x))


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


# The one-euro filter's parameters as the networks' authors set them: at rest it follows with a
# cut-off of 0.01 Hz, and 10 Hz faster for each body size a second the points move.
FRAME_RATE = 30.0
CUTOFF_AT_REST = 0.01
CUTOFF_PER_SPEED = 10.0
CUTOFF_OF_SPEED = 1.0


@dataclass(frozen=True, eq=False)
class Steadier:
    """The state after some frames: points (2, 2) as given and as filtered, and their speed in
    body sizes a second. Frames count as a thirtieth of a second whatever the video's rate."""

    raw: np.ndarray
    filtered: np.ndarray
    speed: np.ndarray

    @staticmethod
    def begin(points: np.ndarray) -> Steadier:
        """From the points (2, 2) of the first frame, in pixels."""
        return Steadier(points, points, np.zeros_like(points))

    def step(self, points: np.ndarray) -> Steadier:
        """The state after one more frame; `points` (2, 2) as `begin`."""
        body_size = max(2 * float(np.linalg.norm(points[1] - points[0])), 1e-6)
        speed_now = (points - self.raw) / body_size * FRAME_RATE
        share = _share(np.float64(CUTOFF_OF_SPEED))
        speed = share * speed_now + (1 - share) * self.speed
        share = _share(CUTOFF_AT_REST + CUTOFF_PER_SPEED * np.abs(speed))
        return Steadier(points, share * points + (1 - share) * self.filtered, speed)


def _share(cutoff: np.ndarray | np.float64) -> np.ndarray | np.float64:
    """How much of a new value a low-pass filter takes at a cut-off in Hz."""
    return 1.0 / (1.0 + FRAME_RATE / (2 * math.pi * cutoff))
