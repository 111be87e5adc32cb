"""The most prominent person of a run of frames, followed from one to the next."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.body import Body, BodyNetwork, body_region
from preprocess.annotators.lite.detectors import PERSON, Detection, Detector
from preprocess.annotators.lite.face import Face, FaceFinder
from preprocess.annotators.lite.hands import HandFinder, Hands
from preprocess.annotators.lite.network import Locate
from preprocess.annotators.lite.regions import Steadier, letterbox, tiles
from preprocess.annotators.tracked import PersonFrame, Region

__all__ = ["LitePerson"]

# Detections tried in a frame, best first, until the landmark network confirms one.
TRIES = 4
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

    def track(self, frames: Iterable[np.ndarray]) -> Iterator[PersonFrame | None]:
        """For each frame, (H, W, 3) uint8 RGB, the person in it or None.

        The first person is the most prominent of the first frame that has any: large, central
        and surely a person. They are followed; when lost, the frames are None until somebody is
        found where they can have gone, farther away the longer they are missing. Frames may
        differ in size, but a track makes sense only if they show one scene.

        Raises ValueError when a frame is not (H, W, 3) uint8.
        """
        track: _Track | None = None
        for index, frame in enumerate(frames):
            if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
                raise ValueError(
                    f"frame {index} is {frame.dtype}{frame.shape}, not uint8 (H, W, 3) RGB"
                )
            body = self._follow(frame, track)
            if track is not None and body is not None:
                steadier = track.steadier.step(body.alignment)
            elif (body := self._search(frame, track)) is not None:
                steadier = Steadier.begin(body.alignment)
            else:
                track = _missing(track)
                yield None
                continue
            hands = None if track is None else track.hands
            hands = None if self._hands is None else self._hands(frame, body, hands)
            face = None if track is None else track.face
            face = None if self._face is None else self._face(frame, body, face)
            track = _Track(body_region(steadier.filtered), steadier, hands, face)
            yield _person(body, hands, face)

    def _follow(self, frame: np.ndarray, track: _Track | None) -> Body | None:
        """The person where they were last, if they were seen in the frame before."""
        if track is None or track.missing:
            return None
        body = self._body(frame, track.region)
        if body is None or not _plausible(body, frame) or not _within_reach(body, track):
            return None
        return body

    def _search(self, frame: np.ndarray, track: _Track | None) -> Body | None:
        """Somebody in the whole frame, or else in a part of it; if someone was followed, only
        where they can be."""
        for areas in ([letterbox(frame)], tiles(frame)):
            found = [person for area in areas for person in self._people(frame, area)]
            found.sort(key=lambda person: -_prominence(person, frame))
            for person in found[:TRIES]:
                body = self._body(frame, body_region(person.points))
                if (
                    body is not None
                    and body.score >= SURE_OF_NEW
                    and _plausible(body, frame)
                    and _within_reach(body, track)
                ):
                    return body
        return None


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


def _prominence(person: Detection, frame: np.ndarray) -> float:
    """How much a detected person is the subject: sure, large, and near the middle of the frame."""
    height, width = frame.shape[:2]
    region = body_region(person.points)
    off_centre = max(abs(region.x / width - 0.5), abs(region.y / height - 0.5))
    return person.score * region.size * (1.0 - min(off_centre, 0.5))


def _plausible(body: Body, frame: np.ndarray) -> bool:
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
