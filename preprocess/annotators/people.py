"""Who is who: people found frame by frame, followed through the clip, and those that are wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.sanity import CheckedKeypoints, check_poses
from preprocess.annotators.scene import Scene
from preprocess.annotators.smoothing import one_euro
from preprocess.annotators.spec import Settings
from preprocess.crop import Box
from preprocess.identity import choose_track, nth_person, prominence
from shards.sample.keypoints import OPENPOSE_134

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
    settings: Settings,
) -> CheckedKeypoints:
    """Keypoints in pixels of the clip.

    boxes: of everybody found in each of the scene's frames, in source pixels. `joints_of` gives
    (134, 3) joints in OPENPOSE_134, in source pixels; it is asked once, for those wanted alone.

    Boxes that overlap from frame to frame are one person. Of the settings `people` "one" keeps the
    scene's subject. "all" orders people by how prominent they are, summed over the frames they are
    in; those who are never there together share a place, since it is most often one person lost and
    found again. Where nobody said who the subject is, "one" keeps the place that `person` asks for.
    `check_poses` takes out what anatomy forbids, `smooth` runs the one-euro filter over each
    person.
    Where a place is empty its joints score 0; there is always at least one place.
    """
    height, width = scene.frames[0].shape[:2]
    tracks = sorted(
        _follow(boxes), key=lambda t: _weight(t, settings.person, width, height), reverse=True
    )
    if settings.people == "all":
        places = _places(tracks)
    elif scene.identity is not None:
        places = [_of_subject(tracks, scene)]
    else:
        nth = nth_person(settings.person)
        places = _places(tracks)[nth - 1 : nth]
    members = [
        (place, track) for place, tracks_there in enumerate(places) for track in tracks_there
    ]
    wanted = [(frame, number) for _, t in members for frame, (number, _) in t.frames.items()]
    found = iter(joints_of(wanted))
    joints = np.zeros((len(boxes), max(len(members), 1), len(OPENPOSE_134), 3), np.float32)
    for column, (_, track) in enumerate(members):
        for frame in track.frames:
            joints[frame, column] = next(found)
    findings = None
    if settings.check_poses:
        joints, findings = check_poses(joints, scene.fps)
    if settings.smooth:
        joints = one_euro(joints, scene.fps)
    points = np.zeros((len(boxes), max(len(places), 1), len(OPENPOSE_134), 3), np.float32)
    for column, (place, track) in enumerate(members):
        frames = list(track.frames)
        points[frames, place] = joints[frames, column]
    return CheckedKeypoints.of(points, scene.crop.to_clip, findings)


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


def _of_subject(tracks: Sequence[_Track], scene: Scene) -> list[_Track]:
    """The parts of tracks that are the scene's subject: no two of them at one time."""
    assert scene.identity is not None
    boxes = [{frame: box for frame, (_, box) in track.frames.items()} for track in tracks]
    chosen = choose_track(scene.identity, boxes, scene.frames, scene.indices)
    parts = [
        _Track({frame: found for frame, found in track.frames.items() if chosen[frame] == number})
        for number, track in enumerate(tracks)
    ]
    return [part for part in parts if part.frames]


def _weight(track: _Track, person: str, width: int, height: int) -> float:
    """How prominent, summed over the frames."""
    return sum(prominence(box, width, height, person) for _, box in track.frames.values())


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, of the area that they cover together."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (both - shared)
