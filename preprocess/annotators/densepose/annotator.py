"""DensePose as an annotator: what HDNet reads where a source brings none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["DensePose"]


class DensePose:
    """V, U and body part of everybody in each frame."""

    def __init__(self, program: Callable[[np.ndarray], np.ndarray]) -> None:
        """`program` is a `DensePoseProgram`."""
        self._program = program

    def iuv(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB frames -> (H, W, 3) uint8 each: V, U, part."""
        return [self._program(frame) for frame in frames]
