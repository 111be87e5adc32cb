"""Clips whose frames lie under each other's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from idol.evaluate.errors import EvaluationError

__all__ = ["check_swapped", "thumbnail"]

_SIDE = 16
# Two clips count as exchanged where each is so many times nearer to the other's reference.
_NEARER = 4.0


def thumbnail(frames: np.ndarray) -> np.ndarray:
    """(16, 16, 3) float32: the mean of a clip's frames, small."""
    mean = frames.mean(0, dtype=np.float32)
    return cv2.resize(mean, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def check_swapped(thumbnails: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Raises EvaluationError where two clips look like each other's reference, by far.

    thumbnails: of each clip the generated and the true one.
    """
    names = list(thumbnails)
    ours = np.stack([thumbnails[name][0].ravel() for name in names]) if names else np.zeros((0, 1))
    truth = np.stack([thumbnails[name][1].ravel() for name in names]) if names else ours
    distances = _squares(ours, truth)
    for i, j in _exchanged(distances):
        raise EvaluationError(
            f"clips {names[i]} and {names[j]} look exchanged: each is nearer to the other's "
            "reference; rename them, or score them so with `idol-eval score --allow-swapped`"
        )


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([((row - b) ** 2).mean(1) for row in a]) if len(a) else np.zeros((0, 0))


def _exchanged(distances: np.ndarray) -> Sequence[tuple[int, int]]:
    own = np.diag(distances)
    far = distances * _NEARER < own[:, None]
    both = far & far.T
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(both, 1)), strict=True)]
