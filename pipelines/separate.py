"""Holding out people and places at once: no performer and no background is on both sides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.sources.values import Split

__all__ = ["Separation", "separate"]


@dataclass(frozen=True)
class Separation:
    """`performers` and `backgrounds` are those held out. Videos of one that is and one that is not
    are on neither side."""

    performers: frozenset[str]
    backgrounds: frozenset[str]

    def side(self, performer: str, background: str) -> Split | None:
        """`val`, `train`, or None for a video that mixes the two."""
        held = background in self.backgrounds
        if held is not (performer in self.performers):
            return None
        return "val" if held else "train"


def separate(videos: Sequence[tuple[str, str]], fraction: float) -> Separation:
    """Which performers and backgrounds to hold out, of videos each with one of both.

    Of what gives `val` between half of `fraction` and one and a half times as much of the videos
    that are kept, what keeps most; of what keeps as much, what comes closest to `fraction`. Where
    nothing comes so close, what comes closest. At least as many videos train as are held out;
    nobody is held out where that cannot be. Groups of performers and backgrounds that share none
    are found and lose nothing; else the best of many choices is taken, not of all there are:
    backgrounds are held out one by one, from each on, and with each number of them the performers
    that are seen most before them, and the other way round. Without chance, and whatever the order
    of the videos.
    """
    performers = sorted({performer for performer, _ in videos})
    backgrounds = sorted({background for _, background in videos})
    counts = np.zeros((len(performers), len(backgrounds)))
    rows = {performer: n for n, performer in enumerate(performers)}
    columns = {background: n for n, background in enumerate(backgrounds)}
    for performer, background in videos:
        counts[rows[performer], columns[background]] += 1

    best = (False, -np.inf, 0.0)
    held = np.zeros(len(performers), bool), np.zeros(len(backgrounds), bool)
    for turned in (False, True):
        for lines, across in _choices(counts.T if turned else counts):
            table = counts.T if turned else counts
            val = np.cumsum(table[np.ix_(lines, across)].sum(1))
            train = table[:, ~across].sum() - np.cumsum(table[np.ix_(lines, ~across)].sum(1))
            for n in np.flatnonzero((val > 0) & (val <= train)):
                kept = float(val[n] + train[n])
                off = abs(float(val[n]) / kept - fraction)
                close = off <= fraction / 2
                score = (True, kept, -off) if close else (False, -off, kept)
                if score > best:
                    best = score
                    alike = np.isin(np.arange(len(table)), lines[: n + 1])
                    held = (across, alike) if turned else (alike, across)
    return Separation(
        frozenset(p for p, out in zip(performers, held[0], strict=True) if out),
        frozenset(b for b, out in zip(backgrounds, held[1], strict=True) if out),
    )


def _choices(counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Columns to hold out, as a mask, with all rows in the order in which to hold them out.

    From each column on, one more at a time: that which shares most rows with those that are held.
    """
    for first in range(counts.shape[1]):
        held = np.arange(counts.shape[1]) == first
        while not held.all():
            inside, outside = counts[:, held].sum(1), counts[:, ~held].sum(1)
            order = np.argsort(-(inside / (inside + outside)), kind="stable")
            yield order, held
            shared = np.minimum(counts, inside[:, None]).sum(0) / counts.sum(0)
            held = held | (np.arange(len(held)) == np.argmax(np.where(held, -1, shared)))
