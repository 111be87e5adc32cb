"""The surfaces of a relief: triangles with places in space, and where in which picture they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from idol.render.relief import Relief
from idol.render.surface import Surface, surface_of

__all__ = ["Person", "Wall", "person_at", "scaled", "wall"]

_FLAT = 0.02


@dataclass(frozen=True, eq=False)
class Person:
    """The person in one frame, and what they hide of themself.

    `points`   (V, 3) float32, in the camera's axes.
    `squares`  (N, 4) int32: corners of pixels, clockwise from the top left; first those of the
               `seen` ones.
    `pixels`   (N, 2) int32: x and y of each square in the grid.
    `colours`  (N, 2) int32: x and y of the pixel that it has its colour from: another one, of what
               is hidden.
    `seen`     how many squares are what the frame shows, and not what it hides.
    """

    points: np.ndarray
    squares: np.ndarray
    pixels: np.ndarray
    colours: np.ndarray
    seen: int

    @property
    def triangles(self) -> np.ndarray:
        """(2 N, 3) int32: two of each square, cut from top left to bottom right."""
        return self.squares[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class Wall:
    """The place behind the person.

    `points`  (V, 3) float32, in the camera's axes.
    `places`  (V, 2) float32: where in the frame they are, (0, 0) to (1, 1), and beyond.
    `squares` (N, 4) int32: as of `Person`.
    """

    points: np.ndarray
    places: np.ndarray
    squares: np.ndarray

    @property
    def triangles(self) -> np.ndarray:
        """(2 N, 3) int32: two of each square, cut from top left to bottom right."""
        return self.squares[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


def scaled(z: np.ndarray, middle: float, by: float) -> np.ndarray:
    """Depth with its distance from the middle times `by`.

    A fiftieth of it is left, so that the person stays before the place, and a twentieth of the way
    to the camera.
    """
    by = max(by, _FLAT)
    return np.maximum(middle + (z - middle) * np.float32(by), np.float32(0.05 * middle))


def person_at(relief: Relief, frame: int, *, depth_scale: float = 1.0) -> Person:
    """The person in a frame, seen and hidden squares."""
    front = surface_of(relief.z[frame], relief.z[frame] > 0, relief.cut)
    offset = relief.hidden[frame]
    z, there = relief.hidden_layer(frame)
    # Never cut: it is there to leave no gap, and hardly seen.
    back = surface_of(z, there, np.inf)
    x, y = back.pixels[:, 0], back.pixels[:, 1]
    squares = np.concatenate([front.squares, back.squares + len(front.z)])
    return Person(
        np.concatenate([_points(relief, part, depth_scale) for part in (front, back)]),
        squares.astype(np.int32),
        np.concatenate([front.pixels, back.pixels]),
        np.concatenate([front.pixels, back.pixels + offset[y, x]]),
        len(front.squares),
    )


def wall(relief: Relief, *, depth_scale: float = 1.0) -> Wall:
    """The place behind the person, the same in all frames."""
    drop = relief.backdrop
    rows, columns = drop.z.shape
    u = np.linspace(-drop.margin[0], 1 + drop.margin[0], columns)
    v = np.linspace(-drop.margin[1], 1 + drop.margin[1], rows)
    u, v = np.meshgrid(u, v)
    z = scaled(drop.z, relief.pivot[2], depth_scale)
    number = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    corners = (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1])
    return Wall(
        relief.camera.points(u, v, z).reshape(-1, 3).astype(np.float32),
        np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32),
        np.stack(corners, axis=-1).reshape(-1, 4),
    )


def _points(relief: Relief, surface: Surface, depth_scale: float) -> np.ndarray:
    height, width = relief.z.shape[1:]
    u, v = surface.corners[:, 0] / width, surface.corners[:, 1] / height
    z = scaled(surface.z, relief.pivot[2], depth_scale)
    return relief.camera.points(u, v, z).astype(np.float32)
