"""Which runs of frames the video networks are shown, as a protocol cuts them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from idol.evaluate.errors import EvaluationError
from idol.evaluate.protocols import Snippets

__all__ = ["Cutter", "segments"]

T = TypeVar("T")


class Cutter(Generic[T]):
    """Cuts the snippets of a video out of its clips, which come one after the other.

    Frames may be anything that stands for one.

    Args:
        snippets: how.
        step: between two snippets of one clip; by file numbers it is 1.
    """

    def __init__(self, snippets: Snippets, step: int) -> None:
        self._snippets, self._step = snippets, step
        self._recent: deque[T] = deque(maxlen=snippets.frames)
        self._last: int | None = None

    def push(self, numbers: Sequence[int], frames: Sequence[T]) -> Iterator[list[T]]:
        """The snippets that the next clip completes.

        `numbers` are those of its frames in the video. Raises EvaluationError, by file numbers,
        where a frame comes twice.
        """
        length = self._snippets.frames
        if self._snippets.cut == "folders":
            yield list(frames)
        elif self._snippets.cut == "clips":
            for first in range(0, len(frames) - length + 1, self._step):
                yield list(frames[first : first + length])
        else:
            for number, frame in zip(numbers, frames, strict=True):
                self._append(number, frame)
                if len(self._recent) == length:
                    yield list(self._recent)

    def _append(self, number: int, frame: T) -> None:
        if self._last is not None and number <= self._last:
            raise EvaluationError(
                f"frame {number} comes after frame {self._last}: clips of one video overlap, and "
                "this protocol takes each frame once"
            )
        if self._last is not None and number != self._last + 1:
            self._recent.clear()
        self._recent.append(frame)
        self._last = number


def segments(frames: np.ndarray, length: int) -> np.ndarray:
    """(S, length, H, W, 3): frames in segments, the last one filled with the last frame."""
    lacking = -len(frames) % length
    whole = np.concatenate([frames, frames[-1:].repeat(lacking, 0)])
    return whole.reshape(-1, length, *frames.shape[1:])
