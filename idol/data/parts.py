"""The datasets that `--shards` stands for: those it lists, or the parts of a mixture."""

from __future__ import annotations

from collections.abc import Sequence

from shards.mix import Mixture, open_mixture

__all__ = ["has_split", "parts_of"]


def parts_of(paths: Sequence[str]) -> Mixture:
    """What paths of training stand for, opened. Raises as `open_mixture`."""
    return open_mixture(paths)


def has_split(path: str, split: str) -> bool:
    """Whether a dataset, or at least one of a mixture's, has clips in a split of this name."""
    return bool(parts_of([path]).having(split).datasets)
