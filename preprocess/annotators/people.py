"""Who is who: people found frame by frame, followed through the clip, and those that are wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.scene import Scene
from preprocess.annotators.smoothing import one_euro
from preprocess.annotators.spec import PeopleMode, PersonMode
from preprocess.crop import Box
from shards.sample.keypoints import OPENPOSE_134, Keypoints

__all__ = ["Finding", "people_of_clip"]

Finding = tuple[int, int]  # a frame, and the number of one of those found in it

# Boxes of one person in successive frames overlap by this fraction of what they cover together.
SAME_PERSON = 0.2


@dataclass(frozen=True, eq=False)
class _Track:
    """One person over time: frame -> number and box there."""

    frames: dict[int, tuple[int, Box]]


def people_of_clip(
    scene: Scene,
    boxes: Sequence[Sequence[Box]],
    joints_of: Callable[[Sequence[Finding]], Sequence[np.ndarray]],
    *,
    people: PeopleMode,
    person: PersonMode,
    smooth: bool,
) -> Keypoints:
    """Keypoints in pixels of the clip.

    boxes: of everybody found in each of the scene's frames, in source pixels. `joints_of` gives
    (134, 3) joints in OPENPOSE_134, in source pixels; it is asked once, for those wanted alone.

    Boxes that overlap from frame to frame are one person. People are ordered by how large (or how
    central) they are, summed over the frames they are in; those who are never there together share
    a place, since it is most often one person lost and found again. "one" keeps the first place.
    `smooth` runs the one-euro filter over each person. Where a place is empty its joints score 0;
    there is always at least one place.
    """
    height, width = scene.frames[0].shape[:2]
    tracks = sorted(_follow(boxes), key=lambda t: _weight(t, person, width, height), reverse=True)
    places = _places(tracks)[: 1 if people == "one" else None]
    members = [
        (place, track) for place, tracks_there in enumerate(places) for track in tracks_there
    ]
    wanted = [(frame, number) for _, t in members for frame, (number, _) in t.frames.items()]
    found = iter(joints_of(wanted))
    joints = np.zeros((len(boxes), max(len(members), 1), len(OPENPOSE_134), 3), np.float32)
    for column, (_, track) in enumerate(members):
        for frame in track.frames:
            joints[frame, column] = next(found)
    if smooth:
        joints = one_euro(joints, scene.fps)
    points = np.zeros((len(boxes), max(len(places), 1), len(OPENPOSE_134), 3), np.float32)
    for column, (place, track) in enumerate(members):
        frames = list(track.frames)
        points[frames, place] = joints[frames, column]
    return Keypoints(points, OPENPOSE_134).transformed(scene.crop.to_clip)


def _follow(boxes: Sequence[Sequence[Box]]) -> list[_Track]:
    """Tracks, each continued by the box that overlaps its latest one most."""
    tracks: list[_Track] = []
    for frame, everybody in enumerate(boxes):
        latest = [track.frames[max(track.frames)][1] for track in tracks]
        overlaps = [
            (_overlap(old, new), t, n)
            for t, old in enumerate(latest)
            for n, new in enumerate(everybody)
        ]
        left_tracks, left_people = set(range(len(tracks))), set(range(len(everybody)))
        for overlap, t, n in sorted(overlaps, key=lambda o: (-o[0], o[1], o[2])):
            if overlap >= SAME_PERSON and t in left_tracks and n in left_people:
                tracks[t].frames[frame] = n, everybody[n]
                left_tracks.remove(t)
                left_people.remove(n)
        tracks.extend(_Track({frame: (n, everybody[n])}) for n in sorted(left_people))
    return tracks


def _places(tracks: Sequence[_Track]) -> list[list[_Track]]:
    """The tracks that share each place: the best first, no two of them at one time."""
    places: list[list[_Track]] = []
    for track in tracks:
        for place in places:
            if not any(track.frames.keys() & other.frames.keys() for other in place):
                place.append(track)
                break
        else:
            places.append([track])
    return places


def _weight(track: _Track, person: PersonMode, width: int, height: int) -> float:
    """Summed over the frames: the area, or how near the frame's middle (1 there, 0 in a corner)."""
    boxes = np.array([box for _, box in track.frames.values()], np.float64)
    low, high = boxes[:, :2], boxes[:, 2:]
    if person == "largest":
        return float((high - low).prod(1).sum())
    away = (low + high) / 2 - ((width - 1) / 2, (height - 1) / 2)
    return float((1 - np.hypot(*away.T) / np.hypot(width / 2, height / 2)).sum())


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, of the area that they cover together."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (both - shared)
