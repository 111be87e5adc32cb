"""The datasets that `--shards` stands for: those it lists, or the parts of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shards.errors import NotADataset
from shards.files.storage import Store
from shards.stream.catalogue import DataPath, find_shards
from shards.stream.mix import expand_mix

__all__ = ["Parts", "has_split", "label", "parts_of"]


@dataclass(frozen=True)
class Parts:
    """Paths of datasets; `weights`, one for each, only of a mixture."""

    paths: tuple[DataPath, ...]
    weights: tuple[float, ...] | None = None

    def having(self, split: str) -> Parts:
        """Those that have clips in a split of this name; weights keep their proportions."""
        chosen = [i for i, path in enumerate(self.paths) if _has(path, split)]
        weights = None if self.weights is None else tuple(self.weights[i] for i in chosen)
        return Parts(tuple(self.paths[i] for i in chosen), weights)


def parts_of(paths: Sequence[str]) -> Parts:
    """What paths of training stand for.

    Raises:
        NotADataset: a mix file cannot be read.
        ValueError: a mixture is not alone.
    """
    found, weights = expand_mix(paths, None)
    assert isinstance(found, Sequence)
    return Parts(tuple(found), None if weights is None else tuple(weights))


def has_split(path: str, split: str) -> bool:
    """Whether a dataset, or at least one of a mixture's, has clips in a split of this name."""
    return bool(parts_of([path]).having(split).paths)


def label(path: DataPath) -> str:
    """What messages call a path."""
    return path.url() if isinstance(path, Store) else str(path)


def _has(path: DataPath, split: str) -> bool:
    try:
        [shards] = find_shards(path, split=split)
    except NotADataset:
        return False
    return any(shard.manifest.split == split for shard in shards)
