"""From pixels with depth to surfaces that are cut where depth jumps.

Each pixel is a small square. Where neighbours are one surface their squares share corners; where
depth jumps between them they do not, and nothing stretches from one to the other. Seen from where
it was filmed a picture has no gap then, whatever is cut: squares end where pixels do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Surface", "corner_depths", "surface_of"]

# Around a corner: the pixels above left, above right, below right, below left of it.
_PIXELS = ((-1, -1), (-1, 0), (0, 0), (0, -1))


@dataclass(frozen=True, eq=False)
class Surface:
    """Squares of N pixels, with V corners.

    `corners`  (V, 2) int32: x and y, in pixels from the picture's top left corner.
    `z`        (V,) float32: their depth.
    `squares`  (N, 4) int32: corners of each pixel, clockwise from the top left.
    `pixels`   (N, 2) int32: x and y of each pixel.
    """

    corners: np.ndarray
    z: np.ndarray
    squares: np.ndarray
    pixels: np.ndarray

    @property
    def triangles(self) -> np.ndarray:
        """(2 N, 3) int32: two of each square, cut from top left to bottom right."""
        return self.squares[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


def corner_depths(z: np.ndarray, valid: np.ndarray, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the four corners of each pixel, and which of them are one point.

    Around a corner lie up to four pixels. Neighbours among them whose depths differ by `cut` at
    most are connected, and so are those that are connected by others. What is connected meets in
    one point, at the mean of its depths.

    Args:
        z: (H, W) floats; `valid`: (H, W) bool, which pixels there are.

    Returns:
        (H, W, 4) float32, clockwise from the top left; and (H, W, 4) int32, a number of the point:
        the same for pixels that meet there. Of pixels that are not valid they mean nothing.
    """
    height, width = z.shape
    z, valid = np.pad(z.astype(np.float32), 1), np.pad(valid, 1)
    around = [(slice(1 + dy, height + 2 + dy), slice(1 + dx, width + 2 + dx)) for dy, dx in _PIXELS]
    depths, there = [z[a] for a in around], [valid[a] for a in around]
    edges = [
        there[k] & there[k - 3] & (np.abs(depths[k] - depths[k - 3]) <= np.float32(cut))
        for k in range(4)
    ]
    count = np.arange((height + 1) * (width + 1), dtype=np.int32).reshape(height + 1, width + 1)
    means = np.empty((height, width, 4), np.float32)
    points = np.empty((height, width, 4), np.int32)
    for k in range(4):
        e = [edges[(k + n) % 4] for n in range(4)]
        with_next = e[0] | (e[3] & e[2] & e[1])
        with_last = e[3] | (e[0] & e[1] & e[2])
        with_far = (e[0] & e[1]) | (e[3] & e[2])
        total, number, least = depths[k].copy(), np.ones_like(z[1:, 1:]), np.full_like(count, k)
        for n, together in ((1, with_next), (2, with_far), (3, with_last)):
            other = (k + n) % 4
            total += np.where(together, depths[other], 0)
            number += together
            least = np.where(together & (other < least), other, least)
        # Pixel k around a corner has it as its corner opposite: 0 lies above left, and so on.
        corner = (k + 2) % 4
        dy, dx = _PIXELS[k]
        rows, columns = slice(-dy, height - dy), slice(-dx, width - dx)
        means[..., corner] = (total / number)[rows, columns]
        points[..., corner] = (count * 4 + least)[rows, columns]
    return means, points


def surface_of(z: np.ndarray, valid: np.ndarray, cut: float) -> Surface:
    """The squares of all valid pixels, corners that are one point given once.

    Arguments as for `corner_depths`.
    """
    means, points = corner_depths(z, valid, cut)
    y, x = np.nonzero(valid)
    known, first, squares = np.unique(points[y, x], return_index=True, return_inverse=True)
    corner = known // 4
    width = z.shape[1] + 1
    return Surface(
        np.stack([corner % width, corner // width], axis=-1).astype(np.int32),
        means[y, x].ravel()[first],
        squares.reshape(-1, 4).astype(np.int32),
        np.stack([x, y], axis=-1).astype(np.int32),
    )
