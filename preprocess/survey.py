"""What the clips of one shot share: its reference frame, the subject's extent, its depth ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import cv2
import numpy as np

from preprocess.annotators.scene import PeopleFinder, Scene, SeparateDepth
from preprocess.annotators.spec import CropMode
from preprocess.annotators.tracked import (
    PersonFrame,
    person_box,
    person_boxes,
    person_colours,
)
from preprocess.crop import (
    Box,
    Crop,
    around,
    centre_crop,
    mask_box,
    subject_crop,
    whole_frame,
)
from preprocess.depth_range import LEAST_METRES, LEAST_UNITS, depth_range
from preprocess.errors import ClipError
from preprocess.frames import Frame, read_each
from preprocess.identity import Identity, Sighting, colours_in_box, identify, prominence
from preprocess.load import Annotators, Depth
from preprocess.reference import PERSON, Seen, choose_reference, seen_joints, subject_box
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.truth import Truth
from shards.sample.keypoints import COCO_18

if TYPE_CHECKING:
    from preprocess.annotators.lite.body import Body

__all__ = [
    "SURVEY_FRAMES",
    "Survey",
    "choose_crop",
    "make_scene",
    "subject_boxes",
    "survey",
    "with_boxes",
]

SURVEY_FRAMES = 16
# Depth of a whole frame changes little between frames of a video.
_WHOLE_FRAME_MARGIN = 0.05
# Key points end at the eyes, wrists and ankles: the person reaches this much of them further.
_BEYOND_JOINTS = 0.1


@dataclass(frozen=True, eq=False)
class Survey:
    """What the clips of one shot share, so that they agree.

    `identity` is the subject; None where nobody was found, and where all people are wanted.
    `reference` is the frame that shows the subject. `extent` is the box around the subject in all
    frames looked at, in fractions of the picture's width and height; None where nobody was found.
    `ranges` are the depth annotators', from frames spread over the shot: None where none of them
    showed anybody, and the annotator's scale has no zero of its own. `depths` are theirs of a
    single image, (1, S, S) each in the clip's crop, which is not looked at twice; else empty.
    `joints` are the subject's in the reference frame, (18, 3) of `COCO_18` in the source's pixels
    with scores; None where nobody gives points, and of a single image, which is its own clip.
    """

    reference: Seen
    extent: Box | None
    ranges: tuple[tuple[float, float] | None, ...]
    depths: tuple[np.ndarray, ...] = ()
    identity: Identity | None = None
    joints: np.ndarray | None = None


def survey(video: Video, shot: Shot, annotators: Annotators, size: int) -> Survey:
    """Look at up to 16 frames spread over the shot; those that cannot be read are passed over.

    Raises ClipError when none can be read.
    """
    count = min(SURVEY_FRAMES, shot.frames)
    indices = np.unique(np.linspace(shot.first, shot.last, count).round().astype(int))
    frames: list[Frame] = []
    failures: list[ClipError] = []
    for _, read in read_each(video.reader, indices.tolist()):
        if isinstance(read, ClipError):
            failures.append(read)
        else:
            frames.append(read)
        if frames and not annotators.depths and not _looks_for_people(annotators):
            break  # nothing is wanted of the others
    identity, bodies = _subject(video, annotators, frames, details=shot.frames == 1)
    seen: list[Seen] = []
    for frame in frames:
        try:
            seen.append(_look(video, annotators, frame, identity, bodies))
        except ClipError as error:
            failures.append(error)
    if not seen:
        raise failures[0]
    if _everybody_wanted(annotators):
        seen = [replace(one, several=True) for one in seen]
    reference = choose_reference(seen, size)
    extent = _extent(seen)
    raw: list[list[np.ndarray]] = [[] for _ in annotators.depths]
    for by, found in zip(annotators.depths, raw, strict=True):
        for depth in _depths(by, video, annotators, seen, extent, size):
            if isinstance(depth, ClipError):
                failures.append(depth)
            else:
                found.append(depth)
    if not all(raw):
        raise failures[0]
    ranges = tuple(_range(a, found) for a, found in zip(annotators.depths, raw, strict=True))
    # Metres are surveyed in a crop of their own.
    again = shot.frames > 1 or any(by.annotator.metres for by in annotators.depths)
    depths = () if again else tuple(found[0] for found in raw)
    joints = None if shot.frames == 1 else _joints(video, annotators, reference, identity)
    return Survey(reference, extent, ranges, depths, identity, joints)


def _subject(
    video: Video, annotators: Annotators, frames: Sequence[Frame], *, details: bool
) -> tuple[Identity | None, dict[int, PersonFrame | None]]:
    """Who the subject is, and what the tracker gives for them in each frame where it found all.

    Where the source's masks say who is meant, it is who is in them, whatever the rule.
    """
    finder, rule = annotators.finder, annotators.choice.person
    if annotators.choice.people == "all" or not (finder or annotators.tracker):
        return None, {}
    everybody = _found(finder, frames) if finder else {}
    masks = [_meant(video, annotators, frame) for frame in frames]
    told = any(mask is not None for mask in masks)
    if told:
        rule = "largest"  # who fits best
    found: list[list[Sighting]] = []
    bodies: dict[tuple[int, int], Body] = {}
    for frame, meant in zip(frames, masks, strict=True):
        width, height = frame.size
        here: list[Sighting] = []
        for n, (box, colours, body) in enumerate(_everybody(annotators, frame, everybody)):
            if told:
                weight = 0.0 if meant is None else _fits(box, meant)
            else:
                weight = prominence(box, width, height, rule)
            boxed = colours_in_box(frame.rgb, box)
            here.append(
                Sighting(frame.index, box, boxed if colours is None else colours, boxed, weight)
            )
            if body is not None:
                bodies[frame.index, n] = body
        found.append(here)
    identity = identify(found, rule=rule, fps=video.fps, masked=finder is None)
    if identity is None or finder is not None:
        return identity, {}
    tracked: dict[int, PersonFrame | None] = dict.fromkeys(frame.index for frame in frames)
    for frame, here in zip(frames, found, strict=True):
        sighting = identity.subject.at(frame.index)
        if sighting is not None:
            assert annotators.tracker is not None
            body = bodies[frame.index, here.index(sighting)]
            person = annotators.tracker.person(frame.rgb, body, details=details)
            tracked[frame.index] = person
    return identity, tracked


def _found(finder: PeopleFinder, frames: Sequence[Frame]) -> dict[int, Sequence[Box]]:
    """Everybody's box in each frame, by its index; frames of one size are looked at together."""
    found: dict[int, Sequence[Box]] = {}
    for _, group in groupby(frames, lambda frame: frame.size):
        some = list(group)
        there = finder.find([frame.rgb for frame in some])
        found |= {frame.index: boxes for frame, boxes in zip(some, there, strict=True)}
    return found


def _everybody(
    annotators: Annotators, frame: Frame, found: Mapping[int, Sequence[Box]]
) -> Iterator[tuple[Box, np.ndarray | None, Body | None]]:
    """Box of each person in a frame, `found` there or by the tracker: then with their colours and
    the tracker's body."""
    width, height = frame.size
    if annotators.finder is not None:
        for box in found[frame.index]:
            yield box, None, None
    elif annotators.tracker is not None:
        for body in annotators.tracker.everybody(frame.rgb):
            person = annotators.tracker.person(frame.rgb, body, details=False)
            box = person_box(person, width, height)
            yield box, person_colours(person, frame.rgb), body


def _meant(video: Video, annotators: Annotators, frame: Frame) -> np.ndarray | None:
    """The source's own mask of a frame, (H, W) uint8, where it has one of that size."""
    if not annotators.reads("masks"):
        return None
    try:
        if video.truth is not None:
            (truth,) = video.truth.truth([frame.index])
            mask = truth.mask_of("one")
        elif video.masks is not None:
            (mask,) = _source_masks(video, [frame.index])
        else:
            return None
    except ClipError:
        return None
    return mask if mask.shape[::-1] == frame.size else None


def _fits(box: Box, mask: np.ndarray) -> float:
    """How much of a mask is in a box, less what of the box is not: in [0, 1]."""
    x0, y0, x1, y1 = (round(max(edge, 0)) for edge in box)
    shared = float((mask[y0:y1, x0:x1] > PERSON).sum())
    whole = float((mask > PERSON).sum())
    return shared / max(whole, 1.0) * shared / max((x1 - x0) * (y1 - y0), 1)


def _look(
    video: Video,
    annotators: Annotators,
    frame: Frame,
    identity: Identity | None,
    tracked_there: Mapping[int, PersonFrame | None],
) -> Seen:
    """The subject in a frame: by the mask, else by a pose annotator that looks for people, else by
    the tracker."""
    width, height = frame.size
    people: tuple[PersonFrame | None, ...]
    if frame.index in tracked_there:
        people = (tracked_there[frame.index],)
    else:
        people = annotators.people([frame.rgb], identity, [frame.index])
    tracked = people[0] if people else None
    joints = seen_joints(tracked, width, height) if tracked else 1.0
    square = whole_frame(width, height, max(width, height))
    scene = make_scene(
        video, annotators, [frame], people, square, video.fps, identity=identity, densepose=False
    )
    if annotators.mask is not None:
        found = annotators.mask.masks(scene)
        mask = found.clip[0][-square.y : height - square.y, -square.x : width - square.x]
        box = subject_box(mask, tracked, width, height)
        if annotators.mask_of_frame is None:
            return Seen(frame, people, mask, box, (), joints, box is not None)
        if not (mask > PERSON).any():
            box = None  # the tracker's person is not the one whom the masks are asked for
        return Seen(frame, people, mask, box, found.boxes[0], joints, box is not None)
    if annotators.pose is not None and annotators.chosen["pose"].spec.finds_people:
        box, joints = _posed(scene, annotators)
        return Seen(frame, people, None, box, (), joints, box is not None)
    box = subject_box(None, tracked, width, height)
    return Seen(frame, people, None, box, (), joints, box is not None if people else None)


def _joints(
    video: Video, annotators: Annotators, seen: Seen, identity: Identity | None
) -> np.ndarray | None:
    """Where the subject's joints are in a frame, (18, 3) in the source's pixels, with scores.

    None where there is no pose annotator, or it finds nobody.
    """
    if annotators.pose is None or seen.person is False:
        return None
    width, height = seen.size
    square = whole_frame(width, height, max(width, height))
    scene = make_scene(
        video, annotators, [seen.frame], seen.people, square, video.fps, identity=identity,
        densepose=False,
    )  # fmt: skip
    boxes = (seen.boxes,) if seen.boxes else None
    try:
        found = annotators.pose.keypoints(with_boxes(annotators, scene, boxes))
    except ClipError:
        return None
    body = found.select(COCO_18)[0]
    if not len(body) or not (body[0, :, 2] >= annotators.pose.min_score).any():
        return None
    joints: np.ndarray = body[0].copy()
    joints[:, :2] += (square.x, square.y)
    return joints


def _looks_for_people(annotators: Annotators) -> bool:
    return any((annotators.tracker, annotators.mask, annotators.pose))


def _everybody_wanted(annotators: Annotators) -> bool:
    """Whether a mask may be of several people: they are wanted, or the source's own masks do not
    tell them apart."""
    return annotators.choice.people == "all" or annotators.reads("masks")


def _posed(scene: Scene, annotators: Annotators) -> tuple[Box | None, float]:
    """Box of everybody whom the pose annotator found in a scene of one whole frame, in the
    source's pixels, and the fraction of body joints that the best of them shows."""
    assert annotators.pose is not None
    points = annotators.pose.keypoints(scene).points[0]  # (people, joints, 3)
    sure = points[..., 2] >= annotators.pose.min_score
    if not sure.any():
        return None, 0.0
    height, width = scene.pictures[0].shape[:2]
    xy = points[sure][:, :2] + (scene.crop.x, scene.crop.y)
    low, high = xy.min(0), xy.max(0)
    beyond = _BEYOND_JOINTS * (high - low).max()
    low, high = np.clip([low - beyond, high + beyond], 0, (width, height))
    return around([(*low, *high)]), float(sure[:, :18].mean(1).max())


def _extent(seen: Sequence[Seen]) -> Box | None:
    boxes: list[Box] = []
    for one in seen:
        if one.box is not None:
            width, height = one.size
            x0, y0, x1, y1 = one.box
            boxes.append((x0 / width, y0 / height, x1 / width, y1 / height))
    return around(boxes)


def _depths(
    by: Depth,
    video: Video,
    annotators: Annotators,
    seen: Sequence[Seen],
    extent: Box | None,
    size: int,
) -> Iterator[np.ndarray | ClipError]:
    """(1, S, S) of each frame, or why there is none; of one size together where the annotator
    looks at each by itself."""
    for _, group in groupby(seen, lambda one: one.size):
        scenes: list[tuple[Scene, np.ndarray | None]] = []
        for one in group:
            try:
                scenes.append(_depth_scene(by, video, annotators, one, extent, size))
            except ClipError as error:
                yield error
        if isinstance(by.annotator, SeparateDepth) and scenes:
            try:
                yield from by.annotator.depths_of_each(*zip(*scenes, strict=True))
                continue
            except ClipError:
                pass  # of one of them
        for scene, masks in scenes:
            try:
                yield by.annotator.depths(scene, masks)
            except ClipError as error:
                yield error


def _depth_scene(
    by: Depth,
    video: Video,
    annotators: Annotators,
    seen: Seen,
    extent: Box | None,
    size: int,
) -> tuple[Scene, np.ndarray | None]:
    # Metres are the same in any crop, and closest seen; a network's scale is the clip's.
    mode = annotators.choice.crop
    if by.annotator.metres:
        mode = "none" if by.spec.whole_frame else "subject" if seen.people else "video"
    boxes = subject_boxes(video, annotators, [seen.frame], seen.people)
    crop = choose_crop(mode, seen.size, boxes, extent, size)
    reads = by.spec.reads is not None and by.spec.reads.of == "densepose"
    scene = make_scene(
        video, annotators, [seen.frame], seen.people, crop, video.fps, densepose=reads
    )
    masks = None
    if seen.mask is not None and not by.spec.whole_frame:
        masks = crop.apply(seen.mask)[None]
    return scene, masks


def _range(by: Depth, raw: list[np.ndarray]) -> tuple[float, float] | None:
    depth = np.concatenate(raw)
    if by.annotator.metres:
        return depth_range(depth, least_extent=LEAST_METRES)
    if not np.isfinite(depth).any():
        return None
    if by.spec.whole_frame:
        return depth_range(depth, margin=_WHOLE_FRAME_MARGIN, least_extent=LEAST_UNITS)
    return depth_range(depth, least_extent=LEAST_UNITS)


def subject_boxes(
    video: Video,
    annotators: Annotators,
    frames: Sequence[Frame],
    people: Sequence[PersonFrame | None],
) -> list[Box]:
    """Around the tracked person in each of the frames that show them, in the source's pixels.

    Without a tracker, around whoever is wanted of rendered people, where a crop asks for it.
    """
    if people:
        return [person_box(p, *f.size) for p, f in zip(people, frames, strict=True) if p]
    if video.truth is None or annotators.choice.crop != "subject":
        return []
    truths = video.truth.truth([frame.index for frame in frames])
    boxes = (mask_box(truth.mask_of(annotators.choice.people)) for truth in truths)
    return [box for box in boxes if box is not None]


def choose_crop(
    mode: CropMode,
    picture: tuple[int, int],
    boxes: Sequence[Box],
    extent: Box | None,
    size: int,
) -> Crop:
    """The clip's square, from its frames' width and height and, by the mode, from the subject's
    boxes in all of them or from the subject's extent in the whole video, as `Survey` has it."""
    width, height = picture
    if mode == "none":
        return whole_frame(width, height, size)
    if mode == "center":
        return centre_crop(width, height, size)
    if mode == "video":
        boxes = [] if extent is None else [extent]
        boxes = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in boxes]
    return subject_crop(boxes, width, height, size, mode=mode)


def make_scene(
    video: Video,
    annotators: Annotators,
    frames: Sequence[Frame],
    people: tuple[PersonFrame | None, ...],
    crop: Crop,
    fps: float,
    *,
    identity: Identity | None = None,
    densepose: bool = True,
) -> Scene:
    """The frames with what the source has of them, as far as the annotators want it; without
    DensePose where nobody who looks at them reads it.

    Raises ClipError when the source's DensePose or masks cannot be read.
    """
    indices = [frame.index for frame in frames]
    iuv: tuple[np.ndarray | None, ...] = ()
    if densepose and annotators.densepose is not None:
        iuv = tuple(annotators.densepose.iuv([frame.rgb for frame in frames]))
    elif densepose and annotators.reads("densepose") and video.densepose is not None:
        iuv = tuple(image.rgb for image in video.densepose.read(indices))
    masks: tuple[np.ndarray, ...] = ()
    if annotators.reads("masks") and video.masks is not None:
        masks = _source_masks(video, indices)
    truths: tuple[Truth, ...] = ()
    if video.truth is not None and (annotators.reads("truth") or annotators.reads("masks")):
        truths = tuple(video.truth.truth(indices))
    return Scene(
        tuple(frame.picture for frame in frames),
        people,
        crop,
        fps,
        iuv,
        masks,
        indices=tuple(indices),
        identity=identity,
        truths=truths,
        known=video.truth,
    )


def with_boxes(
    annotators: Annotators, scene: Scene, boxes: tuple[tuple[Box, ...], ...] | None
) -> Scene:
    """The scene with people's boxes, where the pose annotator asks for them: those that the mask
    annotator found in each frame, or the tracker's where there is none."""
    if not annotators.chosen["pose"].spec.needs_boxes:
        return scene
    if boxes is None:
        boxes = person_boxes(scene.people, scene.pictures)
    return replace(scene, boxes=boxes)


def _source_masks(video: Video, indices: Sequence[int]) -> tuple[np.ndarray, ...]:
    """(H, W) uint8 each. Raises ClipError when one cannot be read."""
    assert video.masks is not None
    return tuple(cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY) for image in video.masks.read(indices))
