"""SAM 3 as a mask annotator: everybody in the clip, or the one who is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.spec import PeopleMode, PersonMode
from preprocess.crop import Box

__all__ = ["Sam3"]

# Each frame's people: (H, W) bool by number.
Found = Sequence[Mapping[int, np.ndarray]]


class Sam3:
    """Masks made at the source's size, and brought to the clip's square as its frames are."""

    def __init__(
        self,
        segment: Callable[[Sequence[np.ndarray]], Found],
        *,
        people: PeopleMode,
        person: PersonMode,
    ) -> None:
        """`segment` is a `VideoSegmenter`."""
        self._segment = segment
        self._people = people
        self._person = person

    def masks(self, scene: Scene) -> Masks:
        # Where people overlap a pixel is one's alone, which may leave nothing of another.
        found = [
            {number: mask for number, mask in there.items() if mask.any()}
            for there in self._segment(scene.frames)
        ]
        everybody = set().union(*found)
        wanted = everybody if self._people == "all" else _one(found, self._person)
        clip, boxes = [], []
        for frame, there in zip(scene.frames, found, strict=True):
            people = [mask for number, mask in there.items() if number in wanted]
            union = np.zeros(frame.shape[:2], bool)
            for mask in people:
                union |= mask
            clip.append(scene.crop.apply(union.astype(np.uint8) * 255))
            boxes.append(tuple(_box(mask) for mask in people))
        return Masks(np.stack(clip), tuple(boxes))


def _one(found: Found, person: PersonMode) -> set[int]:
    """The number of the wanted person, summed over the frames, and of those who are never there
    together with them: most often it is they, lost and found again."""
    weights: dict[int, float] = {}
    for there in found:
        for number, mask in there.items():
            weights[number] = weights.get(number, 0) + _weight(mask, person)
    chosen: set[int] = set()
    for number in sorted(weights, key=lambda number: (-weights[number], number)):
        if not any(number in there and chosen & there.keys() for there in found):
            chosen.add(number)
    return chosen


def _weight(mask: np.ndarray, person: PersonMode) -> float:
    """A mask's area, or how near it is to the frame's middle (1 there, 0 in a corner)."""
    if person == "largest":
        return float(mask.sum())
    middle = (np.array(mask.shape) - 1) / 2
    away = np.argwhere(mask).mean(0) - middle
    return float(1 - np.hypot(*away) / np.hypot(*middle))


def _box(mask: np.ndarray) -> Box:
    """x0, y0, x1, y1 around a mask that is not empty; x1 and y1 are exclusive."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
