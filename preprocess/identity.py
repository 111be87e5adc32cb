"""Who the subject is: one person of a shot, known again in each of its clips.

People are found in the frames that are surveyed, and told apart by where they are and by the
colours that they wear. The most prominent of them, or who else is asked for, is the subject. Each
clip then looks for the subject by itself, so that it does not matter which clips were made before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from preprocess.crop import Box
from preprocess.errors import ClipError
from preprocess.pixels import Pixels, pixels_in

__all__ = [
    "CERTAIN",
    "LEAST_LIKE",
    "SAME",
    "Identity",
    "Likeness",
    "Person",
    "Sighting",
    "certain",
    "choose_track",
    "colours_in_box",
    "colours_of",
    "identify",
    "nth_person",
    "prominence",
]

# Likeness from which somebody is one who is known: of colours alone, people in the light of one
# scene reach .7 of another's, but hardly .6 in another light; the same person turned round, .8.
SAME = 0.5
# Of colours alone: less is no person who was seen before.
LEAST_LIKE = 0.3
# By this much another person must be likelier before somebody who is followed is let go.
CERTAIN = 0.1
# How much the place counts against the colours, soon after somebody was seen.
PLACE = 0.3
# It counts less with the time in between, in seconds, after which it counts a third.
FADES = 1.0
# How far somebody can have moved, in their own size: an unsure box, and the fastest run.
REACH, REACH_PER_SECOND = 0.5, 2.0
# How far they mostly have.
NEAR, NEAR_PER_SECOND = 0.25, 0.75
# Of how many earlier sightings, those most alike, a new one is compared with.
CLOSEST = 3

_SIDE = 64  # pixels at which colours are counted
_LIGHTNESS, _CHROMA, _CHROMA_RANGE = 8, 16, 48.0


@dataclass(frozen=True, eq=False)
class Sighting:
    """Somebody in one frame: `frame` counted in the video, `box` in its pixels.

    `colours` are those of the person, by a mask where there is one; `boxed` those in the box.
    `weight` says how prominent they are there.
    """

    frame: int
    box: Box
    colours: np.ndarray
    boxed: np.ndarray
    weight: float


@dataclass(frozen=True, eq=False)
class Person:
    """One person's sightings, in the order of frames."""

    sightings: tuple[Sighting, ...]

    @property
    def weight(self) -> float:
        """How prominent: the more, the longer they are there."""
        return sum(sighting.weight for sighting in self.sightings)

    def at(self, frame: int) -> Sighting | None:
        return next((s for s in self.sightings if s.frame == frame), None)

    def similarity(self, colours: np.ndarray, *, boxed: bool = False) -> float:
        """Of colours with those of the most similar sightings, in [0, 1]."""
        known = self._boxed if boxed else self._colours
        alike = np.sort(np.sqrt(known * colours).sum(1))[-CLOSEST:]
        return float(alike.mean())

    def likeness(
        self, frame: int, box: Box, colours: np.ndarray, fps: float, *, boxed: bool = False
    ) -> float:
        """Similarity of colours, plus or minus what the place says; -1 where they cannot be."""
        place, size, apart = self._expected(frame, fps)
        own = _size(box)
        away = float(np.linalg.norm(_middle(box) - place))
        if away > max(size, own) * (REACH + REACH_PER_SECOND * apart):
            return -1.0
        near = max(size, own) * (NEAR + NEAR_PER_SECOND * apart)
        agrees = 2 * float(np.exp(-0.5 * (away / near) ** 2)) - 1
        return (
            self.similarity(colours, boxed=boxed) + PLACE * float(np.exp(-apart / FADES)) * agrees
        )

    def _expected(self, frame: int, fps: float) -> tuple[np.ndarray, float, float]:
        """Where, how large, and how many seconds from the nearest sighting."""
        frames, middles, sizes = self._places
        x, y = (float(np.interp(frame, frames, middles[:, axis])) for axis in (0, 1))
        size = float(np.interp(frame, frames, sizes))
        return np.array([x, y]), size, float(np.abs(frames - frame).min()) / fps

    # Stacked once: each frame of each clip asks everybody.
    @cached_property
    def _colours(self) -> np.ndarray:
        return np.array([s.colours for s in self.sightings])

    @cached_property
    def _boxed(self) -> np.ndarray:
        return np.array([s.boxed for s in self.sightings])

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames, (N,), the boxes' middles, (N, 2), and their sizes, (N,)."""
        return (
            np.array([s.frame for s in self.sightings], np.float64),
            np.array([_middle(s.box) for s in self.sightings]),
            np.array([_size(s.box) for s in self.sightings]),
        )


class Likeness(NamedTuple):
    """To the subject, and to whom of the others somebody is most like; -1 where that is nobody.

    `colours` is the similarity to the subject by colours alone, in [0, 1].
    """

    own: float
    other: float
    colours: float

    @property
    def margin(self) -> float:
        return self.own - self.other


@dataclass(frozen=True, eq=False)
class Identity:
    """The subject of a shot.

    `rule` is how it was chosen; `people` are all who were seen, the most prominent first, and
    `number` says who of them it is, from 1. `fps` is of the video's frames. `masked` is whether
    sightings' colours are by masks, or else by their boxes.
    """

    rule: str
    number: int
    people: tuple[Person, ...]
    fps: float
    masked: bool = True

    @property
    def subject(self) -> Person:
        return self.people[self.number - 1]

    def likeness(
        self, frame: int, box: Box, colours: np.ndarray, *, boxed: bool = False
    ) -> Likeness:
        """How much somebody in `box` of a frame of the video is the subject, and is another."""
        own, *others = (
            person.likeness(frame, box, colours, self.fps, boxed=boxed)
            for person in (self.subject, *(p for p in self.people if p is not self.subject))
        )
        return Likeness(
            own, max(others, default=-1.0), self.subject.similarity(colours, boxed=boxed)
        )


def identify(
    found: Sequence[Sequence[Sighting]], *, rule: str, fps: float, masked: bool = True
) -> Identity | None:
    """The subject, from everybody who was found in each of the surveyed frames, in their order.

    `rule`: largest or central, by which the sightings' weights were made; or N, the N-th most
    prominent person, from 1. None where nobody was found at all.
    Raises ClipError when fewer people were found than N.
    """
    people: list[list[Sighting]] = []
    for everybody in found:
        known = [Person(tuple(sightings)) for sightings in people]
        alike = [
            (person.likeness(s.frame, s.box, s.colours, fps), p, n)
            for p, person in enumerate(known)
            for n, s in enumerate(everybody)
        ]
        free_people, free = set(range(len(people))), set(range(len(everybody)))
        for likeness, p, n in sorted(alike, key=lambda a: (-a[0], a[1], a[2])):
            if likeness >= SAME and p in free_people and n in free:
                people[p].append(everybody[n])
                free_people.remove(p)
                free.remove(n)
        people.extend([everybody[n]] for n in sorted(free))
    if not people:
        return None
    ordered = sorted(
        (Person(tuple(sightings)) for sightings in people), key=lambda p: p.weight, reverse=True
    )
    number = nth_person(rule)
    if number > len(ordered):
        raise ClipError(
            f"{len(ordered)} {'person' if len(ordered) == 1 else 'people'} found in this shot; "
            f"--person {number} asks for one more prominent than is there"
        )
    return Identity(rule, number, tuple(ordered), fps, masked)


def nth_person(rule: str) -> int:
    """Which person, from 1, in the order of the weights that `prominence` gives by that rule."""
    return int(rule) if rule.isdecimal() else 1


def prominence(box: Box, width: int, height: int, rule: str) -> float:
    """How prominent a box is in a frame of that size, at least 0.

    central: how near its middle is to the frame's, 1 there and 0 in a corner. Else its area in
    pixels, less toward the frame's edges, where it counts three quarters.
    """
    x, y = _middle(box)
    if rule == "central":
        away = np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2)
        return max(float(1 - away), 0.0)
    off_centre = max(abs(x / width - 0.5), abs(y / height - 0.5))
    area = max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
    return area * (1 - float(min(off_centre, 0.5)) / 2)


def choose_track(
    identity: Identity,
    tracks: Sequence[Mapping[int, Box]],
    frames: Sequence[Pixels],
    indices: Sequence[int],
) -> list[int | None]:
    """For each frame of a clip which of the tracks is the subject in it, None where none is.

    tracks: each one person followed, box by position in `frames`, (H, W, 3) uint8 RGB;
    `indices` are those of the frames in the video. Where a track goes over from one person to
    another, only the subject's part counts.
    """
    chosen: list[int | None] = [None] * len(frames)
    best = [-1.0] * len(frames)
    for number, track in enumerate(tracks):
        places = sorted(track)
        alike = [
            identity.likeness(indices[t], track[t], colours_in_box(frames[t], track[t]), boxed=True)
            for t in places
        ]
        kept = [(t, a) for t, a, keep in zip(places, alike, certain(alike), strict=True) if keep]
        if not kept:
            continue
        own = float(np.mean([a.own for _, a in kept]))
        if own < SAME or own < float(np.mean([a.other for _, a in kept])):
            continue
        for t, _ in kept:
            if own > best[t]:
                chosen[t], best[t] = number, own
    return chosen


def certain(alike: Sequence[Likeness | None]) -> list[bool]:
    """For a person followed from frame to frame, in which frames it is the subject.

    None stands for frames without them. Where it is another for certain, the frames around in
    which it could be either are dropped with it: nobody knows where the one became the other.
    """
    keep = [a is not None and a.margin >= -CERTAIN and a.own > -1 for a in alike]
    another = [a is not None and not k for a, k in zip(alike, keep, strict=True)]
    sure = [a is not None and a.margin > CERTAIN and a.own > -1 for a in alike]
    for order in (range(len(alike)), range(len(alike) - 1, -1, -1)):
        doubtful = False
        for t in order:
            if another[t]:
                doubtful = True
            elif sure[t]:
                doubtful = False
            elif doubtful:
                keep[t] = False
    return keep


def colours_in_box(image: Pixels, box: Box) -> np.ndarray:
    """`colours_of` what is within a box, (H, W, 3) uint8 RGB: most in its middle."""
    height, width = image.shape[:2]
    x0, y0 = max(int(box[0]), 0), max(int(box[1]), 0)
    x1, y1 = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
    if x1 <= x0 or y1 <= y0:
        return colours_of(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.float32))
    # A standing person fills the middle third of their box, and its whole height.
    across = np.exp(-0.5 * (np.linspace(-1, 1, _SIDE) / 0.3) ** 2)
    down = np.exp(-0.5 * (np.linspace(-1, 1, _SIDE) / 0.7) ** 2)
    inside = pixels_in(image, (x0, y0, x1, y1))[y0:y1, x0:x1]
    part = cv2.resize(inside, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return colours_of(part, (down[:, None] * across).astype(np.float32))


def colours_of(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A histogram that sums to 1: CIELAB of the upper and of the lower half of a person.

    image: (H, W, 3) uint8 RGB; weights (H, W) float32, how much a pixel is the person's. The
    halves are of their weight, so that a shirt and trousers are not mixed. Without weight: even.
    """
    if image.shape[:2] != (_SIDE, _SIDE):
        image = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        weights = cv2.resize(weights, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    light = np.minimum(lab[..., 0] * (_LIGHTNESS / 256), _LIGHTNESS - 1).astype(np.int64)
    chroma = (lab[..., 1:] - 128) / _CHROMA_RANGE * (_CHROMA / 2) + _CHROMA / 2
    a, b = np.moveaxis(chroma.clip(0, _CHROMA - 1).astype(np.int64), -1, 0)
    bins = (light * _CHROMA + a) * _CHROMA + b
    rows = np.cumsum(weights.sum(1, dtype=np.float64))
    middle = int(np.searchsorted(rows, rows[-1] / 2))
    shape = (_LIGHTNESS, _CHROMA, _CHROMA)
    halves = [
        _blurred(
            np.bincount(
                bins[part].ravel(), weights[part].ravel().astype(np.float64), int(np.prod(shape))
            ).reshape(shape)
        )
        for part in (np.s_[:middle], np.s_[middle:])
    ]
    histogram = np.concatenate([half.ravel() for half in halves])
    total = histogram.sum()
    if total <= 0:
        return np.full(len(histogram), 1 / len(histogram))
    return histogram / total


def _blurred(histogram: np.ndarray) -> np.ndarray:
    """With some of each bin in its neighbours: light that changes a little changes little."""
    for axis in range(histogram.ndim):
        ends = [(1, 1) if other == axis else (0, 0) for other in range(histogram.ndim)]
        padded = np.pad(histogram, ends, mode="edge")
        before, at, after = (
            np.take(padded, range(start, start + histogram.shape[axis]), axis) for start in range(3)
        )
        histogram = 0.25 * before + 0.5 * at + 0.25 * after
    return histogram


def _middle(box: Box) -> np.ndarray:
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def _size(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1], 1.0)
