"""The order of samples: from a position to a clip, as a pure function of (seed, epoch).

A position is the number of samples, over all ranks, that come before. Nothing is replayed to get
to one: `Order.place` costs the same at position 3 and at position three billion.

A source's epoch holds each of its clips once. Shards are shuffled, cut into windows of a few, and
the clips of a window are shuffled together, so that at any time only a window of shards is read.
Epochs follow each other without a gap: the batch that finishes one may begin the next.

Several sources are mixed by weight in blocks of `BLOCK` positions. Every block holds the same
number of samples of a source, shuffled, so that the n-th block begins at a known position of each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shards.stream.random import permutation

__all__ = ["BLOCK", "Order", "Place", "SourceOrder", "samples_in_block"]

BLOCK = 10_000


@dataclass(frozen=True)
class Place:
    """What a position holds: a clip of a shard of a source, and which turn of that source it is.

    `index` and `window` count within the source's `epoch`; `shard` within the source; `clip`
    within the shard.
    """

    source: int
    epoch: int
    index: int
    shard: int
    clip: int
    window: int


# Compared by identity: hashing the counts of ten thousand shards for each look-up would be slow.
@dataclass(frozen=True, eq=False)
class SourceOrder:
    """One source: `counts` are the clips of its shards, `window` the shards open at a time.

    `shuffled=False` keeps the order of the tars. Raises ValueError for a source without clips.
    """

    counts: tuple[int, ...]
    seed: int
    source: int = 0
    window: int = 16
    shuffled: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or min(self.counts) < 0:
            raise ValueError("a source without clips has no order")
        if self.window < 1:
            raise ValueError(f"window must be at least 1 shard, not {self.window}")

    @property
    def size(self) -> int:
        """Clips in an epoch."""
        return sum(self.counts)

    def place(self, turn: int) -> Place:
        """The clip of this source's turn 0, 1, 2, …, epoch after epoch."""
        return self.at(*divmod(turn, self.size))

    def at(self, epoch: int, index: int) -> Place:
        """The clip at an index of an epoch."""
        shards, ends = _shard_order(self, epoch)
        window = int(np.searchsorted(ends, index, side="right"))
        start = int(ends[window - 1]) if window else 0
        local, clips = _window_order(self, epoch, window)
        at = index - start
        shard = shards[window * self.window + int(local[at])]
        return Place(self.source, epoch, index, int(shard), int(clips[at]), window)

    def shards_from(self, epoch: int, window: int, windows: int) -> list[list[int]]:
        """The shards of so many windows from one on, over the ends of epochs."""
        found = []
        for _ in range(windows):
            shards, ends = _shard_order(self, epoch)
            start = window * self.window
            found.append(shards[start : start + self.window].tolist())
            window += 1
            if window == len(ends):
                epoch, window = epoch + 1, 0
        return found


@lru_cache(maxsize=64)
def _shard_order(order: SourceOrder, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Shards in the order of an epoch, and the index at which each window of them ends."""
    counts = np.array(order.counts)
    shards = np.arange(len(counts))
    if order.shuffled:
        shards = permutation(len(counts), order.seed, "shards", order.source, epoch)
    totals = np.cumsum(counts[shards])
    last = np.arange(order.window - 1, len(counts) + order.window - 1, order.window)
    return shards, totals[np.minimum(last, len(counts) - 1)]


@lru_cache(maxsize=64)
def _window_order(order: SourceOrder, epoch: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """For each index of a window: which of its shards, and which clip of that."""
    shards, _ = _shard_order(order, epoch)
    counts = np.array(order.counts)[shards[window * order.window : (window + 1) * order.window]]
    local = np.repeat(np.arange(len(counts)), counts)
    clips = np.concatenate([np.arange(count) for count in counts])
    if not order.shuffled:
        return local, clips
    shuffled = permutation(len(local), order.seed, "clips", order.source, epoch, window)
    return local[shuffled], clips[shuffled]


def samples_in_block(weights: Sequence[float], block: int = BLOCK) -> tuple[int, ...]:
    """Samples of each source in a block, by weight, with the largest remainders rounded up.

    Raises ValueError for weights that are not positive numbers, or too small for one in a block.
    """
    if not all(math.isfinite(w) and w > 0 for w in weights):
        raise ValueError(f"weights must be positive numbers, not {list(weights)}")
    exact = [w / sum(weights) * block for w in weights]
    counts = [int(x) for x in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: block - sum(counts)]:
        counts[i] += 1
    if min(counts) < 1:
        raise ValueError(f"weight {min(weights)} is less than one sample in {block}")
    return tuple(counts)


@dataclass(frozen=True, eq=False)
class Order:
    """All sources. `counts[i]` samples in every block are of source i."""

    sources: tuple[SourceOrder, ...]
    seed: int
    counts: tuple[int, ...] = (1,)

    def stand_in(self, place: Place, tries: int) -> Place:
        """What replaces a place's clip when it and the `tries - 1` after it cannot be read.

        The clips that follow in the epoch, from the shards that are open anyway; after its last
        comes its first. Every rank knows this without asking the others.
        """
        if tries == 0:
            return place
        source = self.sources[place.source]
        return source.at(place.epoch, (place.index + tries) % source.size)

    @property
    def size(self) -> int:
        """Samples in an epoch: as many as there are clips in all sources."""
        return sum(source.size for source in self.sources)

    def place(self, position: int) -> Place:
        """What a position holds."""
        if len(self.sources) == 1:
            return self.sources[0].place(position)
        block, at = divmod(position, sum(self.counts))
        which, nth = _block_order(self, block)
        source = int(which[at])
        return self.sources[source].place(block * self.counts[source] + int(nth[at]))


@lru_cache(maxsize=8)
def _block_order(order: Order, block: int) -> tuple[np.ndarray, np.ndarray]:
    """For each position of a block: its source, and how many of that source come before it."""
    which = np.repeat(np.arange(len(order.counts)), order.counts)
    nth = np.concatenate([np.arange(count) for count in order.counts])
    shuffled = permutation(len(which), order.seed, "block", block)
    which = which[shuffled]
    # Each source's turns in order: a stable sort by source lists the positions it has.
    by_source = np.argsort(which, kind="stable")
    turns = np.empty_like(nth)
    turns[by_source] = nth
    return which, turns
