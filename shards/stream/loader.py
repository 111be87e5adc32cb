"""`ClipLoader`: a stream through torch's worker processes, with its state kept where it is used."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.clipstream import ClipStream

__all__ = ["ClipLoader", "decode_into_shared_memory", "to_tensors"]


_Item = TypeVar("_Item", ClipBatch, ClipSample)


def to_tensors(item: _Item) -> _Item:
    """The same with tensors on the memory of its arrays."""
    return item.map(_tensor)


def _tensor(array: np.ndarray) -> torch.Tensor:
    # The whole view of a tensor gives that back, and with it that it is shared.
    tensor: object = array.base
    if (
        isinstance(tensor, torch.Tensor)
        and tensor.data_ptr() == array.ctypes.data
        and (tuple(tensor.shape), tensor.stride()) == (array.shape, array.strides)
    ):
        return tensor
    return torch.from_numpy(array)


class _SharedMemory:
    """Memory that torch passes between processes by name, one piece for all arrays of a batch.

    Pictures are decoded straight into it, where otherwise each array would be copied on its way.
    """

    def take(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Arrays of these shapes, by name; what is in them is anything."""
        ends = list(accumulate(math.prod(shape) for shape in shapes.values()))
        # As torch's own collating does it in a worker; there is no public way that does not copy.
        storage = torch.UntypedStorage._new_shared(ends[-1])
        empty = [torch.empty(0, dtype=torch.uint8) for _ in shapes]
        starts = [0, *ends[:-1]]
        tensors = [
            tensor.set_(storage, start, shape)  # type: ignore[call-overload]
            for tensor, start, shape in zip(empty, starts, shapes.values(), strict=True)
        ]
        return {name: tensor.numpy() for name, tensor in zip(shapes, tensors, strict=True)}


def decode_into_shared_memory(worker: int) -> None:
    """A `worker_init_fn` for a DataLoader of a stream: batches leave the worker uncopied."""
    info = get_worker_info()
    assert info is not None, f"process of worker {worker} is no DataLoader's"
    stream = info.dataset
    assert isinstance(stream, ClipStream), f"{type(stream)} is no ClipStream"
    stream.use_memory(_SharedMemory())


def _start_worker(worker: int) -> None:
    # Schedulers signal the whole group. Where the loader's process handles SIGTERM, to finish its
    # step, so do its workers, as they do with SIGINT; torch has put its own handler in the way.
    handler = signal.getsignal(signal.SIGTERM)
    if callable(handler):
        signal.signal(signal.SIGTERM, handler)
    decode_into_shared_memory(worker)


class ClipLoader:
    """Items of a stream as tensors, decoded by `workers` processes, 0 for none.

    `state_dict()` is the stream's one integer as of the item that was yielded last, whatever the
    workers have prefetched, and may be loaded with any number of workers and ranks. Leaving the
    loop, by its end, a break or Ctrl-C, ends the workers.
    """

    def __init__(
        self, stream: ClipStream, *, workers: int = 0, prefetch: int = 2, pin_memory: bool = False
    ) -> None:
        self.stream = stream
        self._loader = DataLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            collate_fn=to_tensors,
            prefetch_factor=prefetch if workers else None,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker,
        )

    def state_dict(self) -> dict[str, int]:
        """As of the last item yielded."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a state of a loader or a stream."""
        self.stream.load_state_dict(state)

    def __iter__(self) -> Iterator[ClipBatch] | Iterator[ClipSample]:
        """From the state on, as the stream's own iteration. Raises what the stream does."""
        end = self.stream.epoch_end()
        with _one_thread():
            iterator = iter(self._loader)
        try:
            for item in iterator:
                self.stream.load_state_dict({"consumed": item.consumed})
                self.stream.count_skipped(item.skipped)
                yield item
        finally:
            del iterator  # torch ends the workers of an iterator that nobody holds
        if end is not None:
            self.stream.load_state_dict({"consumed": end})


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is forked here finds OpenCV without threads, and makes none.

    The workers are the parallelism: threads below them would only compete. And the threads of a
    pool do not come along in a fork, which would then wait for them for ever.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
