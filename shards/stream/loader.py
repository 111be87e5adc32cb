"""`ClipLoader`: a stream's items as torch tensors, decoded by worker processes if so wished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch

from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.clipstream import ClipStream
from shards.stream.workers import WorkerPool

__all__ = ["ClipLoader", "to_tensors"]


_Item = TypeVar("_Item", ClipBatch, ClipSample)


def to_tensors(item: _Item) -> _Item:
    """The same with tensors on the memory of its arrays."""
    return item.map(torch.from_numpy)


class ClipLoader:
    """Items of a stream as tensors, decoded by `workers` processes, 0 for none.

    Each worker is `prefetch` items ahead. With `pin_memory` tensors are copied to pinned memory,
    from which they go to a CUDA device while the program goes on (`non_blocking=True`).

    `state_dict()` is the stream's one integer as of the item that was yielded last, whatever the
    workers have prefetched, and may be loaded with any number of workers and ranks. Leaving the
    loop, by its end, a break or Ctrl-C, ends the workers. A batch may be kept for as long as one
    likes: its memory is used again only when nobody holds any of it.

    Raises ValueError for a negative number of workers, or nothing prefetched.
    """

    def __init__(
        self, stream: ClipStream, *, workers: int = 0, prefetch: int = 2, pin_memory: bool = False
    ) -> None:
        if workers < 0 or prefetch < 1:
            raise ValueError(
                f"workers must be 0 or more and prefetch 1 or more, not {workers} and {prefetch}"
            )
        self.stream = stream
        self._workers, self._prefetch, self._pin_memory = workers, prefetch, pin_memory

    def state_dict(self) -> dict[str, int]:
        """As of the last item yielded."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a state of a loader or a stream."""
        self.stream.load_state_dict(state)

    def __iter__(self) -> Iterator[ClipBatch] | Iterator[ClipSample]:
        """From the state on, as the stream's own iteration. Raises what the stream does.

        With workers also WorkerLost, when one of them was killed.
        """
        if not self._workers:
            for item in self.stream:
                yield self._tensors(item)
            return
        end = self.stream.epoch_end()
        pool = WorkerPool(self.stream, self._workers, self._prefetch)
        try:
            for item in pool:
                self.stream.load_state_dict({"consumed": item.consumed})
                self.stream.count_skipped(item.skipped)
                yield self._tensors(item)
        finally:
            pool.close()
        if end is not None:
            self.stream.load_state_dict({"consumed": end})

    def _tensors(self, item: Any) -> Any:
        tensors = to_tensors(item)
        return tensors.pin_memory() if self._pin_memory else tensors
