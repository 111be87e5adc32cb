"""Blocks of memory that a worker and its trainer share, used over and over.

A page of fresh shared memory costs 5 µs, ten times what it takes to fill: a batch of four 8-frame
clips waits 25 ms for its 5,000 pages. Blocks that come round again have their pages already, in
both processes.

They are anonymous: no name in /dev/shm that could stay behind, and not bound by its size.
"""

from __future__ import annotations

import math
import mmap
import weakref
from collections.abc import Callable

import numpy as np

from shards.stream.recycle import Arrays, Shapes, dtype_of

__all__ = ["Block", "block_size"]

_ALIGNMENT = 64  # bytes: a cache line


class Block:
    """One piece of memory of `size` bytes, shared with processes forked after it was made."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, max(size, 1))
        self._watch: weakref.ref[np.ndarray] | None = None

    def arrays(self, shapes: Shapes) -> Arrays:
        """Arrays of these shapes, by name, on the block; for the worker, which fills it."""
        return _cut(np.frombuffer(self._memory, np.uint8), shapes)

    def lend(self, shapes: Shapes, released: Callable[[weakref.ref[np.ndarray]], object]) -> Arrays:
        """`arrays`, and a call when nobody holds any of them any more; for the trainer.

        An array is held as long as it, a view of it or a tensor on its memory is. The call comes
        from wherever the last of them goes, be it another thread or the garbage collector, and
        there errors are printed and lost. Ctrl-C within a Python function is such an error: let
        `released` be one of the interpreter's own (a method of a list or dict, or `partial`).
        """
        root = np.frombuffer(self._memory, np.uint8)
        # Views of views all hold the first array, for its own base is none.
        self._watch = weakref.ref(root, released)
        return _cut(root, shapes)


def block_size(shapes: Shapes) -> int:
    """Bytes of a block for arrays of these shapes."""
    return sum(_padded(_bytes(name, shape)) for name, shape in shapes.items())


def _cut(root: np.ndarray, shapes: Shapes) -> Arrays:
    arrays, start = {}, 0
    for name, shape in shapes.items():
        size = _bytes(name, shape)
        arrays[name] = root[start : start + size].view(dtype_of(name)).reshape(shape)
        start += _padded(size)
    return arrays


def _bytes(name: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * dtype_of(name).itemsize


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
