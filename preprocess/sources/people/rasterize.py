"""Skinning and a z-buffer, as kernels of `warp` on the CPU: one thread, no GPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Buffer", "mix", "places", "skin"]


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
    width = buffer.face.shape[1]
    covered = np.flatnonzero(buffer.face.ravel() >= 0).astype(np.int32)
    corners, weights = _kernels().place(covered, width, points, faces, buffer.face)
    return covered // width, covered % width, corners, weights


def mix(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (V, 3) or (V,) float32 of vertices at the samples that `places` gives."""
    mixed: np.ndarray = _kernels().mix(values, corners, weights)
    return mixed
