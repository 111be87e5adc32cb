"""Shots: the runs of a video's frames within which a clip and its reference may lie."""

from dataclasses import dataclass

__all__ = ["Shot"]


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames `first` to `last` of a video, both included; `number` counts its shots from 0."""

    first: int
    last: int
    number: int = 0

    @property
    def frames(self) -> int:
        return self.last - self.first + 1

    def as_json(self) -> dict[str, int]:
        return {"first": self.first, "last": self.last, "number": self.number}
