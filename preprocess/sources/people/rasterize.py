"""Skinning and a z-buffer, as kernels of `warp` on the CPU: one thread, no GPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Buffer", "places", "skin"]


@lru_cache(maxsize=1)
def _kernels() -> Any:
    """Compiled at first use, and kept in warp's cache; importing warp is not quick."""
    from preprocess.sources.people import kernels

    return kernels


def skin(
    rest: np.ndarray,
    normals: np.ndarray,
    weights: np.ndarray,
    influences: np.ndarray,
    transforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and their normals (V, 3) float32 where the bones carry them.

    rest, normals: (V, 3) float32; weights, influences: (V, K); transforms: (B, 3, 4) of one frame.
    """
    return _kernels().skin(rest, normals, weights, influences, transforms)


class Buffer:
    """What is seen through each sample of a picture, nearest first.

    `depth` (H, W) float32 metres along the viewing axis, inf where there is nothing.
    `face`  (H, W) int32 number of the triangle, -1 where there is nothing.
    """

    def __init__(self, width: int, height: int) -> None:
        self.depth = np.full((height, width), np.inf, np.float32)
        self.face = np.full((height, width), -1, np.int32)

    def draw(self, points: np.ndarray, faces: np.ndarray) -> None:
        """Triangles (F, 3) int32 of points (V, 3) float32: x and y in samples, z in metres.

        Sample (row 0, column 0) is at x = y = 0. Both sides are drawn; what is nearer than 5 cm
        is not.
        """
        _kernels().draw(points, faces, self.depth, self.face)


def places(
    buffer: Buffer, points: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns (N,), corners (N, 3) int32 and weights (N, 3) float32 of covered samples.

    The weights are those of the surface, not of its image: perspective is undone.
    """
    rows, columns = np.nonzero(buffer.face >= 0)
    corners = faces[buffer.face[rows, columns]]
    p = points[corners]
    x, y = columns[:, None] - p[..., 0], rows[:, None] - p[..., 1]
    # Twice the areas of the triangles that the sample makes with two corners each.
    area = np.roll(x, -1, 1) * np.roll(y, -2, 1) - np.roll(x, -2, 1) * np.roll(y, -1, 1)
    weights = area / p[..., 2]
    weights /= weights.sum(1, keepdims=True)
    return rows, columns, corners, np.clip(weights, 0, 1).astype(np.float32)
