"""`ClipLoader`: a stream's batches as torch tensors."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.clipstream import ClipStream, check_batches

__all__ = ["ClipLoader", "to_tensors"]

_Item = TypeVar("_Item", ClipBatch, ClipSample)


def to_tensors(item: _Item) -> _Item:
    """The same with tensors on the memory of its arrays."""
    import torch  # here alone, so that nothing else in `shards` needs it

    return item.map(torch.from_numpy)


class ClipLoader:
    """Batches of `batch_size` samples as tensors, decoded by `workers` threads, 0 for none.

    Each worker is `prefetch` batches ahead. With `pin_memory` tensors are copied to pinned memory,
    from which they go to a CUDA device while the program runs on (`non_blocking=True`).

    `state_dict()` is the stream's one integer as of the batch that was yielded last, whatever the
    workers have prefetched, and may be loaded with any number of workers and ranks. Leaving the
    loop, by its end, a break or Ctrl-C, ends the workers.

    Raises ValueError for a size of batches, or numbers of workers, that cannot be.
    """

    def __init__(
        self,
        stream: ClipStream,
        batch_size: int,
        *,
        workers: int = 0,
        prefetch: int = 2,
        pin_memory: bool = False,
    ) -> None:
        check_batches(batch_size, workers, prefetch)
        self.stream = stream
        self._batch_size, self._workers, self._prefetch = batch_size, workers, prefetch
        self._pin_memory = pin_memory

    def state_dict(self) -> dict[str, int]:
        """As of the last batch yielded."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Resume from a state of a loader or a stream."""
        self.stream.load_state_dict(state)

    def __iter__(self) -> Iterator[ClipBatch]:
        """From the state on. Raises as `ClipStream.batches`."""
        workers, prefetch = self._workers, self._prefetch
        for batch in self.stream.batches(self._batch_size, workers=workers, prefetch=prefetch):
            tensors = to_tensors(batch)
            yield tensors.pin_memory() if self._pin_memory else tensors
