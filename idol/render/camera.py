"""The camera that a video is taken to be seen by, and the orbit of the one that looks at it anew.

Axes are the camera's: x to the right, y down, z away from it. Places in the picture are fractions
of it, (0, 0) its top left corner and (1, 1) its bottom right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["Camera", "Orbit"]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        half_width, half_height: tangents of half the angles of view: what the picture shows of a
            plane at depth 1, to either side.
        centre: where the axis meets the picture, in fractions of it.
    """

    half_width: float
    half_height: float
    centre: tuple[float, float] = (0.5, 0.5)

    @classmethod
    def of_view(cls, degrees: float, width: int, height: int) -> Self:
        """With this angle of view along the longer side of a picture of width x height pixels."""
        longer = math.tan(math.radians(degrees) / 2)
        return cls(longer * width / max(width, height), longer * height / max(width, height))

    @classmethod
    def of_focal(
        cls, focal: float, width: int, height: int, centre: tuple[float, float] | None = None
    ) -> Self:
        """With this focal length in pixels; `centre` in pixels, whose centres are at integers."""
        middle = (0.5, 0.5)
        if centre is not None:
            middle = ((centre[0] + 0.5) / width, (centre[1] + 0.5) / height)
        return cls(width / 2 / focal, height / 2 / focal, middle)

    @property
    def view(self) -> float:
        """Angle of view along the longer side, in degrees."""
        return math.degrees(2 * math.atan(max(self.half_width, self.half_height)))

    def points(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(..., 3): what is seen at (u, v) of the picture, at depth z."""
        x = (u - self.centre[0]) * (2 * self.half_width) * z
        y = (v - self.centre[1]) * (2 * self.half_height) * z
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1)

    def picture(self, points: np.ndarray) -> np.ndarray:
        """(..., 2): where points (..., 3) of positive depth are seen; the inverse of `points`."""
        u = points[..., 0] / (2 * self.half_width * points[..., 2]) + self.centre[0]
        v = points[..., 1] / (2 * self.half_height * points[..., 2]) + self.centre[1]
        return np.stack([u, v], axis=-1)


@dataclass(frozen=True)
class Orbit:
    """A camera's way around a point, which stays where it is in the picture.

    Attributes:
        yaw: degrees by which the camera has gone to the right, looking at the point.
        pitch: degrees by which it has risen.
        pivot: the point.
    """

    yaw: float
    pitch: float
    pivot: tuple[float, float, float]

    @property
    def turn(self) -> np.ndarray:
        """(3, 3): the axes of the camera on its orbit, as rows."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        around = np.array(
            [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
        )
        up = np.array(
            [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)],
             [0, math.sin(pitch), math.cos(pitch)]]
        )  # fmt: skip
        return up @ around

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in the axes of the camera on its orbit."""
        pivot = np.array(self.pivot)
        return (points - pivot) @ self.turn.T + pivot
