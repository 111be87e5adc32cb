"""Where the stream meets torch, if torch is there at all.

A DataLoader takes for a stream only what inherits from IterableDataset, so the choice falls when
this is imported. Nothing else in `shards` imports torch, but for `loader`.
"""

from __future__ import annotations

__all__ = ["IterableDataset", "worker_turn"]

try:
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError:

    class IterableDataset:  # type: ignore[no-redef]
        """Nothing, without torch."""

    def get_worker_info() -> None:
        """Without torch no process is a DataLoader's worker."""


def worker_turn() -> tuple[int, int] | None:
    """`(number, count)` of the DataLoader's worker that this process is; None if it is none."""
    info = get_worker_info()
    return None if info is None else (info.id, info.num_workers)
