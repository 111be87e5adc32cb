"""How many images go through a network at once: as many as fit."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from preprocess.annotators.spec import Hardware
from preprocess.errors import ClipError, InputError

__all__ = ["Batches", "free_memory"]

Item = TypeVar("Item")
Result = TypeVar("Result")

ON_CPU = 4  # more gain nothing there, and memory is the other workers' as well
AT_MOST = 64
# Of the memory that is free: other annotators' workers may be on the same GPU.
SHARE = 0.7


def free_memory(device: str) -> int:
    """Bytes free on a GPU ("cuda" or "cuda:N"), counting what torch keeps for itself unused."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


class Batches:
    """Cuts items into batches for a network on one device.

    A whole number is used as given. "auto" is `ON_CPU` on the CPU; on a GPU it is what the free
    memory holds at the first call, halved for good whenever that turns out too much.
    """

    def __init__(
        self,
        hardware: Hardware,
        bytes_per_item: int,
        *,
        free_memory: Callable[[str], int] = free_memory,
    ) -> None:
        """`bytes_per_item`: roughly what one item takes on the GPU on its way through.

        Raises InputError for a batch below 1.
        """
        batch = hardware.batch
        if batch != "auto" and batch < 1:
            raise InputError(f"a batch of {batch} holds nothing: use a number from 1 on, or auto")
        self._fixed = batch != "auto"
        self._size = None if batch == "auto" else batch
        self._device = hardware.device
        self._bytes_per_item = bytes_per_item
        self._free_memory = free_memory
        self._fitted = False  # has any batch?

    @property
    def size(self) -> int:
        """Items that the next batch may hold."""
        if self._size is None:
            self._size = ON_CPU
            if self._device.startswith("cuda"):
                fitting = int(self._free_memory(self._device) * SHARE) // self._bytes_per_item
                self._size = min(max(fitting, 1), AT_MOST)
        return self._size

    def map(
        self, forward: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """`forward` over all items, a batch at a time; it gives one result for each item.

        Raises InputError when the GPU has too little memory for as many as the user asked for, or
        for any item at all; ClipError when it has too little for one, but had enough for others.
        """
        results: list[Result] = []
        while len(results) < len(items):
            some = items[len(results) : len(results) + self.size]
            found = self._try(forward, some)
            if found is not None:
                if len(found) != len(some):
                    raise ValueError(f"{len(found)} results for {len(some)} items")
                results.extend(found)
        return results

    def _try(
        self, forward: Callable[[Sequence[Item]], Sequence[Result]], some: Sequence[Item]
    ) -> Sequence[Result] | None:
        """None, and a smaller batch from now on, when the GPU's memory is not enough."""
        if not self._device.startswith("cuda"):
            return forward(some)
        import torch

        try:
            found = forward(some)
            self._fitted = True
            return found
        except torch.cuda.OutOfMemoryError as error:
            if self._fixed or len(some) == 1:
                alone = len(some) == 1
                advice = "--device cpu, or fewer workers on it" if alone else "--batch auto"
                raise (ClipError if alone and self._fitted else InputError)(
                    f"{len(some)} at once is too much for the memory of {self._device}: "
                    f"use {advice}"
                ) from error
        # Outside the handler: the error's traceback would keep the tensors alive.
        self._size = len(some) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None
