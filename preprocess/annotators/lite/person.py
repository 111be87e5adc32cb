"""One person of a run of frames, the subject or else the most prominent, followed through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.body import Body, BodyNetwork, body_region
from preprocess.annotators.lite.detectors import PERSON, Detection, Detector
from preprocess.annotators.lite.face import Face, FaceFinder
from preprocess.annotators.lite.hands import HandFinder, Hands
from preprocess.annotators.lite.network import Locate
from preprocess.annotators.lite.regions import Steadier, letterbox, tiles
from preprocess.annotators.tracked import PersonFrame, Region, person_box, person_colours
from preprocess.identity import CERTAIN, SAME, Identity, Likeness, certain, colours_in_box
from preprocess.pixels import Pixels

__all__ = ["LitePerson"]

# Detections tried in a frame, best first, until the landmark network confirms one.
TRIES = 4
# Regions of bodies that overlap by more, intersection over union, are one person seen twice.
SAME_PERSON = 0.45
# More people than these are a crowd, of which only the most prominent count.
MOST_PEOPLE = 8
# How sure the landmark network must be of somebody new; to stay with a person less is enough.
SURE_OF_NEW = 0.7
# A person can have moved, since last seen, by this fraction of their region and this more a frame.
REACH, REACH_PER_FRAME = 0.35, 0.1
# A body needs this many landmarks that are seen and within the frame.
LANDMARKS_SEEN, LANDMARK_SEEN = 6, 0.5
# What tells people from patterns: on footage, halves of bodies included, nearly always above .8
# and .7; on patterns that passed for people otherwise, below .7 in one or .65 in the other.
POINTS_PRESENT, MASK_CLEAR = 0.75, 0.65


@dataclass(frozen=True, eq=False)
class _Track:
    """What is carried from frame to frame about the person who is followed.

    `missing` counts the frames since the person was last seen.
    """

    region: Region
    steadier: Steadier
    hands: Hands | None = None
    face: Face | None = None
    missing: int = 0


class LitePerson:
    """Landmarks, mask, hands and face of one person by the small networks, on the CPU.

    `locate` gives the path of a weights file by its flat name. `hands` and `face` cost time and
    can be left out. Holds networks only: nothing is remembered between two calls of `track`.
    """

    def __init__(
        self, locate: Locate, *, hands: bool = True, face: bool = True, threads: int = 1
    ) -> None:
        self._people = Detector(locate, PERSON, threads=threads)
        self._body = BodyNetwork(locate, threads=threads)
        self._hands = HandFinder(locate, threads=threads) if hands else None
        self._face = FaceFinder(locate, threads=threads) if face else None

    def track(
        self,
        frames: Sequence[Pixels],
        identity: Identity | None = None,
        indices: Sequence[int] = (),
    ) -> tuple[PersonFrame | None, ...]:
        """For each frame, (H, W, 3) uint8 RGB, the person in it or None.

        With an `identity` it is the subject, or nobody; `indices` are those of the frames in the
        video. Else the first person is the most prominent of the first frame that has any: large,
        central and surely a person. They are followed; when lost, the frames are None until they
        are found where they can have gone, farther away the longer they are missing. From where
        they are found they are followed backwards, too, into the frames before. Frames may differ
        in size, but a track makes sense only if they show one scene.

        Raises ValueError when a frame is not (H, W, 3) uint8.
        """
        for index, frame in enumerate(frames):
            _check(frame, f"frame {index}")
        subject = None if identity is None else _Subject(identity, indices)
        found: list[_Found | None] = [None] * len(frames)
        track: _Track | None = None
        for t, frame in enumerate(frames):
            here = found[t] = self._step(frame, t, track, subject, search=True)
            track = here.track if here else _missing(track)
        for hit in range(len(frames)):
            t = hit - 1
            while t >= 0 and found[t] is None and (after := found[t + 1]) is not None:
                found[t] = self._step(frames[t], t, after.track, subject, search=False)
                t -= 1
        keep = [True] * len(frames)
        if subject:
            keep = certain([None if f is None else f.likeness for f in found])
        return tuple(f.person if f and k else None for f, k in zip(found, keep, strict=True))

    def everybody(self, frame: Pixels) -> tuple[Body, ...]:
        """All who can be made out in a frame, (H, W, 3) uint8 RGB; the most prominent first.

        Raises ValueError when it is not (H, W, 3) uint8.
        """
        _check(frame, "the frame")
        found = [d for area in (letterbox(frame), *tiles(frame)) for d in self._people(frame, area)]
        found.sort(key=lambda person: -_prominence(person, frame))
        people: list[Body] = []
        places: list[Region] = []
        for detection in found:
            place = body_region(detection.points)
            if any(place.overlap(other) > SAME_PERSON for other in places):
                continue
            body = self._body(frame, place)
            if body is None or body.score < SURE_OF_NEW or not _plausible(body, frame):
                continue
            region = body_region(body.alignment)
            if any(region.overlap(other) > SAME_PERSON for other in places):
                continue
            places.append(region)
            people.append(body)
            if len(people) == MOST_PEOPLE:
                break
        return tuple(people)

    def person(self, frame: Pixels, body: Body, *, details: bool) -> PersonFrame:
        """One of `everybody`, with `details` their hands and face, too, if those are looked for."""
        hands = self._hands(frame, body, None) if details and self._hands else None
        face = self._face(frame, body, None) if details and self._face else None
        return _person(body, hands, face)

    def _step(
        self,
        frame: Pixels,
        t: int,
        track: _Track | None,
        subject: _Subject | None,
        search: bool,
    ) -> _Found | None:
        body = self._follow(frame, track)
        likeness = subject.likeness(body, frame, t) if subject and body else None
        if likeness and likeness.margin < -CERTAIN:
            body = track = None  # it has become somebody else: look everywhere
        if track is not None and body is not None:
            steadier = track.steadier.step(body.alignment)
        elif search and (new := self._search(frame, t, track, subject)) is not None:
            body, likeness = new
            steadier = Steadier.begin(body.alignment)
        else:
            return None
        hands = None if track is None else track.hands
        hands = None if self._hands is None else self._hands(frame, body, hands)
        face = None if track is None else track.face
        face = None if self._face is None else self._face(frame, body, face)
        track = _Track(body_region(steadier.filtered), steadier, hands, face)
        return _Found(_person(body, hands, face), track, likeness)

    def _follow(self, frame: Pixels, track: _Track | None) -> Body | None:
        """The person where they were last, if they were seen in the frame before."""
        if track is None or track.missing:
            return None
        body = self._body(frame, track.region)
        if body is None or not _plausible(body, frame) or not _within_reach(body, track):
            return None
        return body

    def _search(
        self, frame: Pixels, t: int, track: _Track | None, subject: _Subject | None
    ) -> tuple[Body, Likeness | None] | None:
        """Somebody in the whole frame, or else in a part of it; if someone was followed, only
        where they can be; of several the most prominent, or who is most like the subject."""
        for areas in ([letterbox(frame)], tiles(frame)):
            found = [person for area in areas for person in self._people(frame, area)]
            found.sort(key=lambda person: -_prominence(person, frame))
            best: tuple[Body, Likeness] | None = None
            for person in found[:TRIES]:
                body = self._body(frame, body_region(person.points))
                if (
                    body is None
                    or body.score < SURE_OF_NEW
                    or not _plausible(body, frame)
                    or not _within_reach(body, track)
                ):
                    continue
                if subject is None:
                    return body, None
                likeness = subject.likeness(body, frame, t)
                if likeness.own < SAME or likeness.margin <= 0:
                    continue
                if best is None or likeness.own > best[1].own:
                    best = body, likeness
            if best is not None:
                return best
        return None


@dataclass(frozen=True, eq=False)
class _Found:
    """The person in a frame, and what is carried to the next one."""

    person: PersonFrame
    track: _Track
    likeness: Likeness | None


@dataclass(frozen=True, eq=False)
class _Subject:
    """Who is looked for, in frames that have these indices in the video."""

    identity: Identity
    indices: Sequence[int]

    def likeness(self, body: Body, frame: Pixels, t: int) -> Likeness:
        person = _person(body, None, None)
        box = person_box(person, frame.shape[1], frame.shape[0])
        if self.identity.masked:
            return self.identity.likeness(self.indices[t], box, person_colours(person, frame))
        return self.identity.likeness(self.indices[t], box, colours_in_box(frame, box), boxed=True)


def _check(frame: Pixels, what: str) -> None:
    if not isinstance(frame, np.ndarray):
        return
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise ValueError(f"{what} is {frame.dtype}{frame.shape}, not uint8 (H, W, 3) RGB")


def _person(body: Body, hands: Hands | None, face: Face | None) -> PersonFrame:
    """The parts, put together."""
    left = None if hands is None else hands.found.get("left")
    right = None if hands is None else hands.found.get("right")
    return PersonFrame(
        landmarks=body.landmarks,
        world=body.world,
        mask=body.mask,
        left_hand=None if left is None else left.points,
        right_hand=None if right is None else right.points,
        face=None if face is None else face.points,
        region=body.region,
        score=body.score,
    )


def _missing(track: _Track | None) -> _Track | None:
    """The track after a frame in which its person was not found."""
    if track is None:
        return None
    return _Track(track.region, track.steadier, missing=track.missing + 1)


def _prominence(person: Detection, frame: Pixels) -> float:
    """How much a detected person is the subject: sure, large, and near the middle of the frame."""
    height, width = frame.shape[:2]
    region = body_region(person.points)
    off_centre = max(abs(region.x / width - 0.5), abs(region.y / height - 0.5))
    return person.score * region.size * (1.0 - min(off_centre, 0.5))


def _plausible(body: Body, frame: Pixels) -> bool:
    """Whether this is a person rather than a pattern that the network took for one.

    On noise and textures the network is often sure of a person, yet says of the very points it
    gives within the frame that they are not there, or it draws a faint mask.
    """
    height, width = frame.shape[:2]
    x, y, _, visibility, presence = body.landmarks.T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen = inside & (visibility >= LANDMARK_SEEN)
    if seen.sum() < LANDMARKS_SEEN or presence[inside].mean() < POINTS_PRESENT:
        return False
    drawn = body.mask.values[body.mask.values > 0.5]
    return bool(drawn.size and np.median(drawn) >= MASK_CLEAR)


def _within_reach(body: Body, track: _Track | None) -> bool:
    """Whether the person who was followed, if any, can have come to where `body` is."""
    if track is None:
        return True
    reach = REACH + REACH_PER_FRAME * track.missing
    return track.region.near(body_region(body.alignment), turn=np.pi, shift=reach, scale=2 * reach)
