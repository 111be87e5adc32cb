"""Shots: the runs of a video's frames within which a clip and its reference may lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from preprocess.frames import Numbered, Timed, frame_times, gaps
from preprocess.sources.values import Video

__all__ = ["Break", "Shot", "Why", "gap_breaks", "in_words", "shots_of"]

Why = Literal["cut", "gap", "size"]

_WORDS = {
    "cut": ("cut", "cuts"),
    "gap": ("gap in time", "gaps in time"),
    "size": ("change of size", "changes of size"),
}


@dataclass(frozen=True, slots=True)
class Break:
    """One shot ends with frame `before`, the next begins with frame `after`.

    Frames between, those of a dissolve, belong to neither. `why`: a cut, a gap in time, or a
    picture of another size.
    """

    before: int
    after: int
    why: Why


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames `first` to `last` of a video, both included; `number` counts its shots from 0.

    `begins` and `ends` say why: where the video does, or for the reason of a `Break`.
    """

    first: int
    last: int
    number: int = 0
    begins: Why | Literal["start"] = "start"
    ends: Why | Literal["end"] = "end"

    @property
    def frames(self) -> int:
        return self.last - self.first + 1

    def as_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "last": self.last,
            "number": self.number,
            "begins": self.begins,
            "ends": self.ends,
        }


def shots_of(frames: int, breaks: Iterable[Break]) -> tuple[Shot, ...]:
    """A video's shots in order, at least one frame each. Breaks may overlap and come in any order.

    Where two are at one place the first by `before`, `after` and reason is named.
    """
    shots: list[Shot] = []
    first = 0
    begins: Why | Literal["start"] = "start"
    for cut in sorted(breaks, key=lambda b: (b.before, b.after, b.why)):
        if cut.before >= first:
            shots.append(Shot(first, cut.before, len(shots), begins, cut.why))
            first, begins = cut.after, cut.why
        first = max(first, cut.after)
    if first < frames:
        shots.append(Shot(first, frames - 1, len(shots), begins, "end"))
    return tuple(shots)


def in_words(why: str, count: int) -> str:
    """So many breaks for a reason of a `Break`, such as "2 gaps in time"."""
    return f"{count} {_WORDS[why][count > 1]}"


def gap_breaks(video: Video, max_gap: float) -> Sequence[Break]:
    """Where a frame comes more than `max_gap` usual frame times after the one before it.

    Steps that are a recording's rhythm end no shot; numbers that are missing always do.
    """
    if video.frames < 2 or not isinstance(video.reader, Timed):  # these are evenly spaced
        return ()
    times = frame_times(video.reader, video.frames, video.fps)
    rhythm = not isinstance(video.reader, Numbered)
    return tuple(Break(frame - 1, frame, "gap") for frame in gaps(times, max_gap, rhythm=rhythm))
