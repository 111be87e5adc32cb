"""Figures of frames gathered to figures of an annotator: over all, and by attribute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from idol.bench.annotators import scores
from idol.bench.annotators.compare import Compared
from idol.bench.annotators.entries import Entry
from idol.bench.annotators.truth import ATTRIBUTES

__all__ = ["Row", "Tally", "mean_figures", "tallied"]

_FIGURES = {
    "pose": scores.POSE_FIGURES,
    "mask": scores.MASK_FIGURES,
    "depth": scores.DEPTH_FIGURES,
}


@dataclass(frozen=True)
class Row:
    """A frame: which, what kind of frame it is (`ATTRIBUTES`), and its figures (NaN for none)."""

    video: str
    frame: int
    kinds: dict[str, str]
    figures: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return {"video": self.video, "frame": self.frame, **self.kinds, **_plain(self.figures)}


@dataclass(eq=False)
class Tally:
    """All that is known of one annotator.

    `rows` are of the frames that show the subject, `empty` counts the others; `told` names the
    videos in which it had to be told who is meant; `seconds` are those that the `made` frames of
    its clips took; `reasons` say why other clips were not made.
    """

    entry: Entry
    rows: list[Row] = field(default_factory=list)
    empty: int = 0
    told: set[str] = field(default_factory=set)
    made: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the figures that it has."""
        return _FIGURES[self.entry.option]

    def add(self, compared: Compared) -> None:
        if compared.told:
            self.told.add(compared.video)
        if compared.reason is None:
            self.seconds += compared.seconds
            self.made += len(compared.frames)
        else:
            self.reasons[compared.reason] += 1
        for t, frame in enumerate(compared.frames):
            if not compared.true.counts(t):
                self.empty += 1
                continue
            figures = {name: float(compared.figures[name][t]) for name in self.names}
            self.rows.append(Row(compared.video, frame, dict(compared.true.kinds[t]), figures))

    @property
    def frames_a_second(self) -> float:
        return self.made / self.seconds if self.seconds else math.nan

    def of(self, attribute: str, value: str) -> list[Row]:
        return [row for row in self.rows if row.kinds[attribute] == value]

    def as_json(self) -> dict[str, Any]:
        """Plain values; null where a figure says nothing."""
        return {
            "option": self.entry.option,
            "name": self.entry.name,
            "record": self.entry.record.as_json(),
            "frames": len(self.rows),
            "frames_without_the_subject": self.empty,
            "frames_a_second": _plain({"": self.frames_a_second})[""],
            "videos_told_who": len(self.told),
            "clips_not_made": dict(sorted(self.reasons.items())),
            "all": _plain(mean_figures(self.rows, self.names)),
            "by": {
                attribute: {
                    value: {
                        "frames": len(rows),
                        **_plain(mean_figures(rows, self.names)),
                    }
                    for value in values
                    if (rows := self.of(attribute, value))
                }
                for attribute, values in ATTRIBUTES.items()
            },
            "of_each_frame": [row.as_json() for row in self.rows],
        }


def tallied(compared: Iterable[Compared], entries: Sequence[Entry]) -> list[Tally]:
    """What each of the entries did, in their order."""
    tallies = {id(entry): Tally(entry) for entry in entries}
    for one in compared:
        tallies[id(one.entry)].add(one)
    return list(tallies.values())


def mean_figures(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """The mean of each figure over the frames of which it says something, NaN for none.

    Of depth, too, `of_flat` and `aligned_of_flat`: the mean error over that of a flat mask.
    """
    found = {}
    for name in names:
        values = np.array([row.figures[name] for row in rows], np.float64)
        known = values[~np.isnan(values)]
        found[name] = float(known.mean()) if len(known) else math.nan
    if "flat_cm" in names:
        found["of_flat"] = found["error_cm"] / found["flat_cm"]
        found["aligned_of_flat"] = found["aligned_cm"] / found["flat_aligned_cm"]
    return found


def _plain(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(v) else round(v, 6) for name, v in figures.items()}
