"""Memory for batches, handed out again when nothing holds the batch any more.

Fresh memory costs as much as the copy into it, a tenth of a clip's time to decode: the system
clears every page on first touch. A trainer drops one batch as it takes the next, so the same few
pieces of memory serve all of them.
"""

import sys
import threading
from collections import deque
from collections.abc import Mapping

import numpy as np

__all__ = ["Recycler", "dtype_of"]

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def dtype_of(name: str) -> np.dtype:
    """The type of an array of a sample: cached latents are float16, images uint8."""
    return np.dtype(np.float16 if name.endswith("_latents") else np.uint8)


class Recycler:
    """Sets of arrays of equal shapes, `keep` of them at most remembered for another use.

    Threads may share it.
    """

    def __init__(self, keep: int = 3) -> None:
        self._sets: deque[Arrays] = deque(maxlen=keep)
        self._lock = threading.Lock()

    def take(self, shapes: Shapes) -> Arrays:
        """Arrays of these shapes, by name, that nothing else holds; what is in them is anything.

        An array is held as long as it, a view of it or a tensor on its memory is.
        """
        with self._lock:
            for arrays in self._sets:
                if _idle(arrays) and {n: a.shape for n, a in arrays.items()} == shapes:
                    return dict(arrays)
            arrays = {name: np.empty(shape, dtype_of(name)) for name, shape in shapes.items()}
            self._sets.append(arrays)
            return dict(arrays)


def _idle(arrays: Arrays) -> bool:
    return all(sys.getrefcount(array) == _IDLE for array in arrays.values())


# What the count is when nothing but the dict holds an array, in this very expression.
_IDLE = next(sys.getrefcount(array) for array in {"": np.empty(1)}.values())
