"""What a piece of work gives a device to do: launches, bytes moved, and waits of the host for it.

Operations are counted as torch dispatches them, below autograd and autocast, so that backward is
seen too and nothing need be computed: tensors may be fake, or on the meta device. An operation is
one launch, whatever kernels it is made of; one on a list of tensors is as many as torch's kernels
for lists need. Views and allocations launch nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Counts", "counting"]

_QUESTIONS = ("prim", "prims", "profiler")
_SILENT = {
    *("detach", "alias", "view", "_unsafe_view", "lift_fresh", "_reshape_alias", "set_data"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "promote_types"),
    *("is_same_size", "sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "result_type"),
}
# They move and change nothing but the place, the layout or the dtype.
_COPIES = {
    *("clone", "copy_", "_to_copy", "cat", "stack", "contiguous", "constant_pad_nd"),
    *("_foreach_copy_", "repeat", "index_select"),
}
# Their result, or its size, is known only when the device has come that far.
_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero"}

# Of torch's kernels for lists (`MultiTensorApply.cuh`): tensors by the number of lists, blocks and
# entries of a block.
_TENSORS = (110, 64, 48, 36, 30)
_BLOCKS, _ENTRIES = 320, 65536


@dataclass
class Counts:
    """What was counted.

    Attributes:
        launches: by operation.
        read_and_written: bytes of all operands and results.
        copies: launches that only copy, by operation, and `copied` the bytes of these.
        waits: what makes the host wait for the device, by operation.
    """

    launches: Counter[str] = field(default_factory=Counter)
    read_and_written: int = 0
    copies: Counter[str] = field(default_factory=Counter)
    copied: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Launches in all."""
        return self.launches.total()

    def as_json(self) -> dict[str, Any]:
        """Totals, and launches by operation, most frequent first."""
        return {
            "launches": self.total,
            "gigabytes": round(self.read_and_written / 1e9, 2),
            "copies": self.copies.total(),
            "gigabytes_copied": round(self.copied / 1e9, 2),
            "waits": dict(self.waits),
            "by_operation": dict(self.launches.most_common()),
        }


@contextmanager
def counting(host: str = "") -> Iterator[Counts]:
    """Count what is dispatched in here.

    Args:
        host: the device type of tensors that are not on the accelerator; copies between the two
            are waits unless they are `non_blocking`, and a number that is asked of a meta tensor
            is a wait, too, and 1. Unless given, all tensors are on the accelerator.
    """
    counts = Counts()
    with _Mode(counts, host):
        yield counts


class _Mode(TorchDispatchMode):
    def __init__(self, counts: Counts, host: str) -> None:
        super().__init__()
        self._counts, self._host = counts, host

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = operation._schema.name.removeprefix("aten::")
        operands = _tensors((args, kwargs))
        waits = name in _WAITS and any(x.device.type != self._host for x in operands)
        if waits and name == "_local_scalar_dense" and operands[0].is_meta:
            self._counts.waits[name] += 1
            return 1
        result = operation(*args, **kwargs)
        if operation.namespace in _QUESTIONS or operation.is_view or name in _SILENT:
            return result
        results = _tensors(result)
        if self._host and all(x.device.type == self._host for x in operands + results):
            return result  # the host's own
        if name in ("index", "index_put_"):
            waits = any(x.dtype in (torch.bool, torch.uint8) for x in operands[1:])
        across = bool(self._host) and len({x.device.type for x in operands + results}) > 1
        if across and name in ("_to_copy", "copy_") and _is_large(operands):
            waits = not (kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)))
        if waits:
            self._counts.waits[name] += 1
        launches, moved = _launches(name, args), _bytes(operands + results)
        self._counts.launches[name] += launches
        self._counts.read_and_written += moved
        if name in _COPIES:
            self._counts.copies[name] += launches
            self._counts.copied += moved
        return result


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of what is there, once each: an expanded tensor is read, not stored, again and again."""
    once = {id(x): x for x in tensors}.values()
    return sum(_stored(x) * x.dtype.itemsize for x in once)


def _stored(x: Tensor) -> int:
    """Entries of a tensor, those along expanded dimensions once."""
    return math.prod(n for n, stride in zip(x.shape, x.stride(), strict=True) if stride or not n)


def _is_large(operands: list[Tensor]) -> bool:
    """A number of the host goes along with the launch."""
    return any(x.ndim for x in operands)


def _launches(name: str, args: tuple[Any, ...]) -> int:
    if not name.startswith(("_foreach_", "_fused_adam")):
        return 1
    lists = [x for x in args if isinstance(x, (list, tuple)) and x and isinstance(x[0], Tensor)]
    if not lists:
        return 1
    blocks = sum(-(-x.numel() // _ENTRIES) for x in lists[0])
    tensors = _TENSORS[min(len(lists), len(_TENSORS)) - 1]
    return max(-(-blocks // _BLOCKS), -(-len(lists[0]) // tensors))
