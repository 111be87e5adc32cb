"""From a network's coarse map to the image: the resizing that OpenPose does, as two matrices."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch

__all__ = ["STRIDE", "Enlarger", "enlarger", "without_dust"]

STRIDE = 8  # pixels of the network's input for one cell of its maps
BLUR = 3.0  # sigma, pixels
_BLUR_REACH = 12  # 4 sigma


@dataclass(frozen=True, eq=False)
class Enlarger:
    """`rows` (H, h) and `columns` (W, w) float32: from a map (h, w) to the image (H, W).

    `smooth_rows` and `smooth_columns` blur besides.
    """

    rows: np.ndarray
    columns: np.ndarray
    smooth_rows: np.ndarray
    smooth_columns: np.ndarray

    def whole(self, maps: torch.Tensor, *, smooth: bool = False) -> torch.Tensor:
        """(..., h, w) -> (..., H, W), on the maps' device."""
        rows, columns = (
            torch.from_numpy(matrix).to(maps.device)
            for matrix in (
                (self.smooth_rows, self.smooth_columns) if smooth else (self.rows, self.columns)
            )
        )
        return rows @ maps @ columns.T

    def at(self, maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(C, h, w) at N whole pixels of the image -> (C, N)."""
        return ((self.rows[y] @ maps) * self.columns[x]).sum(-1)


@lru_cache(maxsize=32)
def enlarger(
    map_size: tuple[int, int], used_size: tuple[int, int], size: tuple[int, int]
) -> Enlarger:
    """For maps of `map_size`; of them enlarged, `used_size` is the image and the rest padding;
    the image itself has `size`. All are (height, width)."""
    how = _interpolation(used_size, size)
    rows, columns = (
        _resize(_resize(np.eye(cells, dtype=np.float32), cells * STRIDE, cv2.INTER_LANCZOS4)[:used],
                length, how)
        for cells, used, length in zip(map_size, used_size, size, strict=True)
    )  # fmt: skip
    matrices = rows, columns, _blurred(rows), _blurred(columns)
    return Enlarger(*(without_dust(matrix) for matrix in matrices))


def without_dust(matrix: np.ndarray) -> np.ndarray:
    """The same with 0 for what is below 1e-9: where cells should not matter at all, resizing leaves
    weights so small that products of them are denormal, with which processors take ten times as
    long."""
    return np.where(np.abs(matrix) < 1e-9, 0, matrix)


def _interpolation(before: tuple[int, int], after: tuple[int, int]) -> int:
    return cv2.INTER_AREA if sum(after) < sum(before) else cv2.INTER_LANCZOS4


def _resize(matrix: np.ndarray, length: int, how: int) -> np.ndarray:
    """The columns of `matrix`, each resized like one column of an image."""
    return cv2.resize(matrix, (matrix.shape[1], length), interpolation=how)


def _blurred(matrix: np.ndarray) -> np.ndarray:
    """A Gaussian along the first axis, mirrored at the ends (edge pixels twice)."""
    offsets = np.arange(-_BLUR_REACH, _BLUR_REACH + 1)
    kernel = np.exp(-0.5 * (offsets / BLUR) ** 2)
    # Short images need the mirror more than once, which np.pad knows and cv2 does not.
    padded = np.pad(matrix, ((_BLUR_REACH, _BLUR_REACH), (0, 0)), mode="symmetric")
    shifted = [padded[i : i + len(matrix)] * weight for i, weight in enumerate(kernel)]
    return (np.sum(shifted, axis=0) / kernel.sum()).astype(np.float32)
