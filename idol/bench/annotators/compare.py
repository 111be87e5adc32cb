"""Annotators and the truth side by side, over the clips of a source of rendered people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from idol.bench.annotators import scores
from idol.bench.annotators.entries import Entry
from idol.bench.annotators.truth import TrueClip, true_clip
from preprocess.annotate import ClipRequest, annotate, survey
from preprocess.crop import Box, Crop, mask_box, whole_frame
from preprocess.errors import ClipError
from preprocess.frames import Frame
from preprocess.identity import Identity
from preprocess.load import Annotators
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.survey import Survey
from shards.sample.clip import Clip

__all__ = ["CLIP_LENGTH", "Compared", "compare"]

CLIP_LENGTH = 16  # frames, as a build makes clips unless told otherwise
_SAME = 0.3  # intersection over union from which a box is that of somebody


@dataclass(frozen=True, eq=False)
class Compared:
    """A clip of one video as an annotator made it, the truth beside it, and the figures.

    `told`: whether the annotator had to be told which of the people is the subject.
    `clip` is None where it could not be made, for the `reason`: then everybody in it is missed.
    `seconds` are those of making it, with all that is made of it at once, without the survey of
    its shot and without rendering.
    `figures`: (T,) each, as `scores` says.
    """

    entry: Entry
    video: str
    frames: tuple[int, ...]
    true: TrueClip
    clip: Clip | None
    told: bool
    reason: str | None
    seconds: float
    figures: dict[str, np.ndarray]


def compare(
    videos: Sequence[Video],
    entries: Sequence[Entry],
    *,
    size: int,
    on_video: Callable[[], None] = lambda: None,
) -> Iterator[Compared]:
    """Every clip of every video by every annotator, as `idol-prep build` makes them: subject, crop
    and depth range come from the survey of the shot, which is the whole video. Who of two people is
    meant is the source's word: annotators are told, since they may take either for the subject.

    size: of the clips, in pixels. Raises InputError where a video cannot be rendered.
    """
    for video in videos:
        for annotators, makers in _together(entries):
            yield from _compared(video, annotators, makers, size)
        on_video()


def _together(entries: Sequence[Entry]) -> list[tuple[Annotators, list[Entry]]]:
    """Entries by the annotators that make their clips."""
    found: dict[int, tuple[Annotators, list[Entry]]] = {}
    for entry in entries:
        found.setdefault(id(entry.annotators), (entry.annotators, []))[1].append(entry)
    return list(found.values())


def _compared(
    video: Video, annotators: Annotators, entries: Sequence[Entry], size: int
) -> Iterator[Compared]:
    shot = Shot(0, video.frames - 1)
    shared, reason, told = None, None, False
    try:
        shared, told = _survey(video, shot, annotators, size)
    except ClipError as error:
        reason = str(error)
    for start in range(0, video.frames, CLIP_LENGTH):
        part = tuple(range(start, min(start + CLIP_LENGTH, video.frames)))
        frames = list(video.reader.read(part))
        clip, seconds = None, 0.0
        if shared is not None:
            request = ClipRequest(f"people-{video.id}-{start}", "people", "train", part, shot)
            reason, began = None, time.perf_counter()
            try:
                clip = annotate(request, video, frames, shared, annotators, size=size)
            except ClipError as error:
                reason = str(error)
            seconds = time.perf_counter() - began
        true = _true(video, frames, clip, size)
        for entry in entries:
            figures = _figures(entry, true, clip)
            yield Compared(entry, video.id, part, true, clip, told, reason, seconds, figures)


def _survey(video: Video, shot: Shot, by: Annotators, size: int) -> tuple[Survey, bool]:
    """The survey whose subject is the source's, and whether that had to be told, as `--person N`
    does, since the annotator found somebody else more prominent."""
    shared = survey(video, shot, by, size)
    identity = shared.identity
    number = identity and _number_of_subject(video, identity)
    if identity is None or number is None or number == identity.number:
        return shared, False
    by = replace(by, choice=replace(by.choice, person=str(number)))
    return survey(video, shot, by, size), True


def _number_of_subject(video: Video, identity: Identity) -> int | None:
    """Who of the people found is the source's subject, from 1; None where they are not found."""
    assert video.truth is not None
    frames = sorted({s.frame for person in identity.people for s in person.sightings})
    truths = dict(zip(frames, video.truth.truth(frames), strict=True))
    best, number = 0.0, None
    for n, person in enumerate(identity.people, start=1):
        shared = 0.0
        for sighting in person.sightings:
            boxes = [mask_box(mask) for mask in truths[sighting.frame].masks]
            overlaps = [_overlap(sighting.box, box) if box else 0.0 for box in boxes]
            if overlaps[0] >= max(*overlaps, _SAME):
                shared += overlaps[0]
        if shared > best:
            best, number = shared, n
    return number


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return shared / max(sum(areas) - shared, 1e-9)


def _true(video: Video, frames: Sequence[Frame], clip: Clip | None, size: int) -> TrueClip:
    """In the clip's own crop; the whole frame where there is no clip."""
    assert video.truth is not None
    height, width = frames[0].rgb.shape[:2]
    if clip is None:
        crop = whole_frame(width, height, size)
    else:
        x0, y0, x1, _ = clip.info["crop"]["box"]
        crop = Crop(clip.info["crop"]["mode"], x0, y0, x1 - x0, size)
    truths = tuple(video.truth.truth([frame.index for frame in frames]))
    return true_clip([frame.rgb for frame in frames], truths, crop, video.truth.about())


def _figures(entry: Entry, true: TrueClip, clip: Clip | None) -> dict[str, np.ndarray]:
    shape = true.rgb.shape[:3]
    if entry.option == "pose":
        points = None if clip is None else clip.keypoints
        if points is None:
            points = np.zeros((shape[0], 1, 18, 3), np.float32)
        return scores.keypoints(true, points)
    if entry.option == "mask":
        masks = None if clip is None else clip.mask
        return scores.masks(true, np.zeros(shape, np.uint8) if masks is None else masks)
    found = depth_of(entry, clip)
    unit = entry.annotators.depths[0].annotator.unit
    return scores.depth(
        true,
        np.full(shape, np.nan, np.float32) if found is None else found,
        metres_from=_metres_from(unit),
        inverse="inverse" in unit,
    )


def depth_of(entry: Entry, clip: Clip | None) -> np.ndarray | None:
    """(T, S, S) float32 in the annotator's unit, as a clip of a dataset has it."""
    by = entry.annotators.depths[0]
    return None if clip is None else clip.depth_in_unit(by.spec.fills[0])


def _metres_from(unit: str) -> str | None:
    """What metres are measured from, by the unit that a depth annotator's clips say."""
    if not unit.startswith("metres") or "up to a factor" in unit:
        return None
    return "hips" if unit.startswith("metres from the hips") else "camera"
