"""A camera without distortion, that pans slowly.

Camera axes: x right, y down, z away, in metres. Pixel (column 0, row 0) has its centre at (0, 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocess.sources.people.rotations import unit
from preprocess.truth import TrueCamera

__all__ = ["Camera", "View"]


@dataclass(frozen=True, eq=False)
class View:
    """The camera at one moment.

    `turn` (3, 3) and `place` (3,): a point p of the world is turn @ (p - place) in camera axes.
    `focal` in pixels; `width`, `height` of the picture.
    """

    turn: np.ndarray
    place: np.ndarray
    focal: float
    width: int
    height: int

    @property
    def centre(self) -> tuple[float, float]:
        """Of the picture, in pixels."""
        return 0.5 * (self.width - 1), 0.5 * (self.height - 1)

    def truth(self) -> TrueCamera:
        return TrueCamera(self.focal, self.centre, self.turn, self.place)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3): x, y in pixels and metres along the viewing axis, of points of the world."""
        seen = (points - self.place) @ self.turn.T
        z = np.maximum(seen[..., 2:], 1e-3)
        return np.concatenate(
            [seen[..., :2] / z * self.focal + self.centre, seen[..., 2:]], axis=-1
        )

    def ray_grid(self, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The first of `rays`, and the steps from one to the next to the right and downwards."""
        x = 0.5 / times - 0.5 - self.centre[0]
        y = 0.5 / times - 0.5 - self.centre[1]
        corner = np.array([x / self.focal, y / self.focal, 1.0]) @ self.turn
        step = 1 / (times * self.focal)
        return corner, step * self.turn[0], step * self.turn[1]

    def rays(self, times: int) -> np.ndarray:
        """(H * times, W * times, 3) directions in the world, of length 1 along the viewing axis.

        Each pixel has times x times samples, evenly over its square.
        """
        x = (np.arange(self.width * times) + 0.5) / times - 0.5 - self.centre[0]
        y = (np.arange(self.height * times) + 0.5) / times - 0.5 - self.centre[1]
        grid = np.empty((len(y), len(x), 3))
        grid[..., 0], grid[..., 1], grid[..., 2] = x / self.focal, y[:, None] / self.focal, 1.0
        return grid @ self.turn


@dataclass(frozen=True, eq=False)
class Camera:
    """`place` and `aim`: where it stands and looks at (T, 3), by (T,) seconds."""

    place: Callable[[np.ndarray], np.ndarray]
    aim: Callable[[np.ndarray], np.ndarray]
    focal: float
    width: int
    height: int
    still: bool

    def at(self, seconds: float) -> View:
        """Raises no error; a still camera gives the same view at all times."""
        times = np.array([seconds])
        place, aim = self.place(times)[0], self.aim(times)[0]
        away = unit(aim - place)
        right = unit(np.cross(away, [0.0, 0.0, 1.0]))
        down = np.cross(away, right)
        return View(np.stack([right, down, away]), place, self.focal, self.width, self.height)
