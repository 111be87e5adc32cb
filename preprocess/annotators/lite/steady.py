"""A steadier for the alignment points of a tracked body: a one-euro filter of two points.

What the network sees depends on where its square lies, so a square that trembles makes landmarks
tremble. This filters only the square; the landmarks themselves come out unfiltered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Steadier"]

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
