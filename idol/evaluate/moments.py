"""Mean and covariance of features that stream by: in float64, and mergeable between processes."""

import math
from mmap import mmap
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike

from idol.evaluate.errors import EvaluationError
from idol.evaluate.frechet import frechet_distance
from shards.files.atomic import atomic_file

__all__ = ["Moments", "read_rows"]

# Rows that are turned to float64 at once: 32 MB of them for 2048 features.
_ROWS = 2048


class Moments:
    """Count, mean and scatter of rows of D features; memory is D x D whatever the count.

    Two that saw one half each, merged, are the one that saw all, to rounding: the pairwise update
    of Chan, Golub and LeVeque (1979) on centred blocks, so that a large mean costs no digits.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int) -> None:
        self.count = 0
        self.mean = np.zeros(dimensions)
        self._scatter = np.zeros((dimensions, dimensions))

    @classmethod
    def of(cls, features: ArrayLike) -> Self:
        """The moments of features, (N, D)."""
        rows = np.asanyarray(features)
        moments = cls(rows.shape[-1])
        moments.add(rows)
        return moments

    @property
    def dimensions(self) -> int:
        return self.mean.size

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), divided by N - 1. Raises EvaluationError for fewer than two rows."""
        if self.count < 2:
            raise EvaluationError(f"a covariance needs two rows of features or more: {self.count}")
        return self._scatter / (self.count - 1)

    def add(self, features: ArrayLike) -> None:
        """Count rows of features, (N, D), in.

        A memory-mapped array is read block by block. Raises EvaluationError for another D, and at
        the first block of 2048 rows that has a value that is not finite.
        """
        rows = np.asanyarray(features)
        if rows.ndim != 2 or rows.shape[1] != self.dimensions:
            raise EvaluationError(
                f"features have shape {rows.shape}; expected (N, {self.dimensions})"
            )
        for start in range(0, len(rows), _ROWS):
            block = read_rows(rows, start, start + _ROWS).astype(np.float64)
            mean = block.mean(0)
            if not np.isfinite(mean).all():
                bad = int(np.flatnonzero(~np.isfinite(block).all(1))[0])
                raise EvaluationError(f"row {start + bad} of the features is not finite")
            block -= mean
            self._update(len(block), mean, block.T @ block)

    def merge(self, other: Self) -> None:
        """Count in what `other` counted; `other` stays as it is. Raises EvaluationError."""
        if other.dimensions != self.dimensions:
            raise EvaluationError(
                f"moments of {other.dimensions} and {self.dimensions} features cannot be merged"
            )
        self._update(other.count, other.mean, other._scatter)

    def distance(self, other: Self) -> float:
        """The Frechet distance. Raises EvaluationError as `frechet_distance`."""
        return frechet_distance(self.mean, self.covariance, other.mean, other.covariance)

    def save(self, path: Path) -> None:
        """Write to a `.npz` file, whole or not at all."""
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, count=self.count, mean=self.mean, scatter=self._scatter)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote. Raises EvaluationError for another file."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                moments = cls(saved["mean"].size)
                moments._update(int(saved["count"]), saved["mean"], saved["scatter"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise EvaluationError(f"{path} holds no moments of features ({error})") from error
        return moments

    def _update(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if not count:
            return
        total = self.count + count
        step = mean - self.mean
        self._scatter += scatter
        self._scatter += np.outer(step * (self.count * count / total), step)
        self.mean = self.mean + step * (count / total)
        self.count = total


def read_rows(rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    """`rows[start:stop]`; of a whole memory-mapped file read into memory, and not mapped.

    Pages that a mapping has touched count as the process's memory until the system wants them back.
    """
    # A part of a mapping does not know where in the file it begins.
    if not isinstance(rows, np.memmap) or not isinstance(rows.base, mmap):
        return np.asarray(rows[start:stop])
    start, stop = (min(at, len(rows)) for at in (start, stop))
    width = math.prod(rows.shape[1:])
    at = rows.offset + start * width * rows.itemsize
    flat = np.fromfile(str(rows.filename), rows.dtype, (stop - start) * width, offset=at)
    return flat.reshape(stop - start, *rows.shape[1:])
