"""Grounded-SAM as a mask annotator: detect people, choose among them, cut them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np

from preprocess.annotators.scene import Masks, Scene
from preprocess.annotators.spec import PeopleMode
from preprocess.crop import Box, as_box
from preprocess.identity import choose_track, nth_person, prominence

__all__ = ["Detections", "GroundedSam", "prompts", "smooth"]


class GroundedSam:
    """Masks of one person of the clip, or of all of them; a frame without anybody is empty.

    The masks are made at the source's size, yes or no for each pixel, and brought to the clip's
    square as its frames are: averaged where it shrinks, which gives soft edges as the lite
    annotator's masks have.
    """

    def __init__(
        self,
        detect: Callable[[Sequence[np.ndarray]], list[Detections]],
        segment: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray],
        *,
        people: PeopleMode,
        person: str,
        smooth: bool,
    ) -> None:
        """`detect` and `segment` are a `Detector` and a `Segmenter`.

        `smooth` bridges single frames in which a person was not detected, and removes flicker.
        """
        self._detect = detect
        self._segment = segment
        self._people = people
        self._person = person
        self._smooth = smooth

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Box]]:
        """Everybody's box in each frame, (H, W, 3) uint8 RGB."""
        return [[as_box(box) for box in there.boxes] for there in self._detect(frames)]

    def masks(self, scene: Scene) -> Masks:
        height, width = scene.frames[0].shape[:2]
        subject = None
        if scene.identity is not None:
            subject = partial(
                choose_track, scene.identity, frames=scene.frames, indices=scene.indices
            )
        boxes = prompts(
            self._detect(scene.frames),
            width,
            height,
            people=self._people,
            person=self._person,
            bridge=self._smooth,
            subject=subject,
        )
        masks = self._segment(scene.frames, boxes)
        if self._smooth:
            masks = smooth(masks, scene.fps)
        clip = np.stack([scene.crop.apply(mask.astype(np.uint8) * 255) for mask in masks])
        return Masks(clip, tuple(tuple(map(tuple, there.tolist())) for there in boxes))


# Least intersection over union of one person's boxes in successive frames: a wrong link would
# need a person who leaves while another comes to the same place, and a missed one may cost a
# dancer that jumps.
_SAME = 0.1


@dataclass(frozen=True, eq=False)
class Detections:
    """The people of one frame: `boxes` (N, 4) float32, `scores` (N,) float32 in [0, 1]."""

    boxes: np.ndarray
    scores: np.ndarray


@dataclass(eq=False)
class _Track:
    """One person's boxes by frame."""

    boxes: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return min(self.boxes)

    @property
    def last(self) -> int:
        return max(self.boxes)


def prompts(
    detections: Sequence[Detections],
    width: int,
    height: int,
    *,
    people: PeopleMode,
    person: str,
    bridge: bool,
    subject: Callable[[Sequence[Mapping[int, Box]]], Sequence[int | None]] | None = None,
) -> list[np.ndarray]:
    """The boxes, (N, 4) float32 each, of which to make masks in successive frames.

    "one" gives at most one a frame: the one whom `subject` says, given each person's boxes by
    frame. Without it, the one who is most prominent over all frames, or whom else `person` asks
    for; where they are not seen there is none, unless before they come or after they have gone
    somebody else is there. `bridge` puts a box between the two neighbours where a person is
    missing in a single frame.
    """
    tracks = _link(detections)
    if people == "one":
        tracks = _of_subject(tracks, subject) if subject else _one(tracks, width, height, person)
    chosen: list[list[np.ndarray]] = [[] for _ in detections]
    for track in tracks:
        boxes = _bridged(track.boxes) if bridge else track.boxes
        for frame, box in boxes.items():
            chosen[frame].append(box)
    return [np.array(boxes, np.float32).reshape(-1, 4) for boxes in chosen]


def _link(detections: Sequence[Detections]) -> list[_Track]:
    """Boxes join the person whose last box they overlap most; one frame may be missing."""
    tracks: list[_Track] = []
    for frame, found in enumerate(detections):
        live = [track for track in tracks if track.last >= frame - 2]
        last = np.array([track.boxes[track.last] for track in live]).reshape(-1, 4)
        overlap = _overlaps(last, found.boxes)
        free = set(range(len(found.boxes)))
        while overlap.size and overlap.max() >= _SAME:
            t, b = np.unravel_index(overlap.argmax(), overlap.shape)
            live[t].boxes[frame] = found.boxes[b]
            overlap[t, :] = overlap[:, b] = 0
            free.remove(int(b))
        tracks += [_Track({frame: found.boxes[b]}) for b in sorted(free)]
    return tracks


def _of_subject(
    tracks: list[_Track],
    subject: Callable[[Sequence[Mapping[int, Box]]], Sequence[int | None]],
) -> list[_Track]:
    """The parts of tracks that are the subject, as one person."""
    chosen = subject([{t: as_box(box) for t, box in track.boxes.items()} for track in tracks])
    boxes = {t: tracks[n].boxes[t] for t, n in enumerate(chosen) if n is not None}
    return [_Track(boxes)] if boxes else []


def _one(tracks: list[_Track], width: int, height: int, person: str) -> list[_Track]:
    def weight(track: _Track) -> float:
        return sum(prominence(as_box(b), width, height, person) for b in track.boxes.values())

    tracks = sorted(tracks, key=weight, reverse=True)[nth_person(person) - 1 :]
    chosen = []
    while tracks:
        best = tracks[0]
        chosen.append(best)
        tracks = [t for t in tracks if t.last < best.first or t.first > best.last]
    return chosen


def _bridged(boxes: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    missing = [i + 1 for i in boxes if i + 1 not in boxes and i + 2 in boxes]
    return boxes | {i: (boxes[i - 1] + boxes[i + 1]) / 2 for i in missing}


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len(a), len(b)) intersections over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return shared / np.maximum(union, 1e-9)


# How fast a person's outline moves at most, in lengths of the person a second: hands in fast
# dances reach 4-5 m/s.
_SPEED = 2.5


def smooth(masks: np.ndarray, fps: float) -> np.ndarray:
    """`masks`, (T, H, W) bool, without what is there, or is missing, in a single frame only.

    `fps` is of these frames. A region that neither neighbouring frame has is removed, and one
    that both have is filled in, whole, if it reaches farther than a person's outline moves in the
    time between frames; so a moving limb is never eaten, and a fringe of that width may flicker
    on. The first and the last frame have one neighbour, and stay.
    """
    result = masks.copy()
    for before, mask, after, out in zip(masks, masks[1:], masks[2:], result[1:], strict=False):
        either, both = before | after, before & after
        reach = _SPEED / fps * max(_length(before), _length(after))
        blobs, holes = mask & ~either, both & ~mask
        if blobs.any():
            out &= ~_far(blobs, ~either, reach)
        if holes.any():
            out |= _far(holes, both, reach)
    return result


def _far(region: np.ndarray, around: np.ndarray, reach: float) -> np.ndarray:
    """The connected parts of `region` with a pixel more than `reach` from the edge of `around`."""
    if around.all():  # no edge anywhere: the neighbours have nobody
        return region
    distance = cv2.distanceTransform(around.astype(np.uint8), cv2.DIST_L2, 5)
    _, labels = cv2.connectedComponents(region.astype(np.uint8))
    far = np.unique(labels[region & (distance > reach)])
    return np.isin(labels, far[far > 0])


def _length(mask: np.ndarray) -> int:
    """The longer side of the box around `mask`."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return max(int(np.ptp(rows)), int(np.ptp(columns))) + 1 if len(rows) else 0
