"""What the clips of one shot share: its reference frame and its depth ranges."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import CropMode
from preprocess.annotators.tracked import PersonFrame, person_box
from preprocess.crop import Box, Crop, centre_crop, subject_crop, whole_frame
from preprocess.depth_range import LEAST_METRES, LEAST_UNITS, depth_range
from preprocess.errors import ClipError
from preprocess.frames import Frame, read_each
from preprocess.load import Annotators, Depth
from preprocess.shots import Shot
from preprocess.sources.values import Video

__all__ = ["SURVEY_FRAMES", "Survey", "choose_crop", "make_scene", "survey"]

SURVEY_FRAMES = 16
_PERSON = 127  # masks above this are the person
# Depth of a whole frame changes little between frames of a video.
_WHOLE_FRAME_MARGIN = 0.05


@dataclass(frozen=True, eq=False)
class Survey:
    """What the clips of one shot share, so that they agree.

    `reference` is the shot's reference frame; `reference_people` what the tracker gives for it;
    `reference_mask` its mask in the source's pixels, (H, W) uint8, where the mask annotator sees
    whole frames; `person` whether somebody is in it, None where nobody was looked for.
    `ranges` are the depth annotators', from frames spread over the shot: None where none of them
    showed anybody, and the annotator's scale has no zero of its own. `depths` are theirs of a
    single image, (1, S, S) each in the clip's crop, which is not looked at twice; else empty.
    """

    reference: Frame
    reference_people: tuple[PersonFrame | None, ...]
    reference_mask: np.ndarray | None
    reference_boxes: tuple[Box, ...]
    person: bool | None
    ranges: tuple[tuple[float, float] | None, ...]
    depths: tuple[np.ndarray, ...] = ()


def survey(video: Video, shot: Shot, annotators: Annotators, size: int) -> Survey:
    """Look at up to 16 frames spread over the shot; those that cannot be read are passed over.

    The reference is the first of them with a person, the shot's first frame nearly always: the
    paper's rule would give a video that begins empty no foreground to learn from.
    Raises ClipError when none can be read.
    """
    count = min(SURVEY_FRAMES, shot.frames)
    indices = np.unique(np.linspace(shot.first, shot.last, count).round().astype(int))
    best: _Seen | None = None
    raw: list[list[np.ndarray]] = [[] for _ in annotators.depths]
    failures: list[ClipError] = []
    of_person = any(not by.spec.whole_frame for by in annotators.depths)
    for _, frame in read_each(video.reader, indices.tolist()):
        if isinstance(frame, ClipError):
            failures.append(frame)
            continue
        wants_mask = of_person or best is None or best.person is False
        try:
            seen = _look(video, annotators, frame, wants_mask=wants_mask)
        except ClipError as error:
            failures.append(error)
            continue
        if best is None or (seen.person and best.person is False):
            best = seen
        if not annotators.depths and seen.person is not False:
            break  # the reference is found, and nothing else is wanted
        for by, found in zip(annotators.depths, raw, strict=True):
            try:
                found.append(_depth(by, video, annotators, seen, size))
            except ClipError as error:
                failures.append(error)
    if best is None or not all(raw):
        raise failures[0]
    ranges = tuple(_range(a, found) for a, found in zip(annotators.depths, raw, strict=True))
    # Metres are surveyed in a crop of their own.
    again = shot.frames > 1 or any(by.annotator.metres for by in annotators.depths)
    depths = () if again else tuple(found[0] for found in raw)
    return Survey(best.frame, best.people, best.mask, best.boxes, best.person, ranges, depths)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A frame looked at as if it were alone: those of a survey are far apart."""

    frame: Frame
    people: tuple[PersonFrame | None, ...]
    mask: np.ndarray | None
    boxes: tuple[Box, ...]
    person: bool | None


def _look(video: Video, annotators: Annotators, frame: Frame, *, wants_mask: bool) -> _Seen:
    people = annotators.people([frame.rgb])
    if annotators.mask_of_frame is None or not wants_mask:
        return _Seen(frame, people, None, (), people[0] is not None if people else None)
    height, width = frame.rgb.shape[:2]
    square = whole_frame(width, height, max(width, height))
    scene = make_scene(video, annotators, [frame], people, square, video.fps, depth=False)
    found = annotators.mask_of_frame.masks(scene)
    mask = found.clip[0][-square.y : height - square.y, -square.x : width - square.x]
    return _Seen(frame, people, mask, found.boxes[0], bool((mask > _PERSON).any()))


def _depth(by: Depth, video: Video, annotators: Annotators, seen: _Seen, size: int) -> np.ndarray:
    # Metres are the same in any crop, and closest seen; a network's scale is the clip's.
    mode = "subject" if by.annotator.metres else annotators.choice.crop
    crop = choose_crop(mode, seen.frame.rgb, seen.people, size)
    scene = make_scene(video, annotators, [seen.frame], seen.people, crop, video.fps)
    masks: np.ndarray | None = None
    if seen.mask is not None:
        masks = crop.apply(seen.mask)[None]
    elif annotators.mask is not None and not by.spec.whole_frame:
        masks = annotators.mask.masks(scene).clip
    return by.annotator.depths(scene, masks)


def _range(by: Depth, raw: list[np.ndarray]) -> tuple[float, float] | None:
    depth = np.concatenate(raw)
    if by.annotator.metres:
        return depth_range(depth, least_extent=LEAST_METRES)
    if not np.isfinite(depth).any():
        return None
    if by.spec.whole_frame:
        return depth_range(depth, margin=_WHOLE_FRAME_MARGIN, least_extent=LEAST_UNITS)
    return depth_range(depth, least_extent=LEAST_UNITS)


def choose_crop(
    mode: CropMode, frame: np.ndarray, people: Sequence[PersonFrame | None], size: int
) -> Crop:
    """The clip's square, from its frames' size and the person's extent in all of them."""
    height, width = frame.shape[:2]
    if mode == "none":
        return whole_frame(width, height, size)
    if mode == "center":
        return centre_crop(width, height, size)
    boxes = [person_box(person, width, height) for person in people if person is not None]
    return subject_crop(boxes, width, height, size)


def make_scene(
    video: Video,
    annotators: Annotators,
    frames: Sequence[Frame],
    people: tuple[PersonFrame | None, ...],
    crop: Crop,
    fps: float,
    *,
    depth: bool = True,
) -> Scene:
    """The frames with what the source has of them, as far as the annotators want it.

    Raises ClipError when the source's DensePose or masks cannot be read.
    """
    indices = [frame.index for frame in frames]
    iuv: tuple[np.ndarray | None, ...] = ()
    if depth and annotators.densepose is not None:
        iuv = tuple(annotators.densepose.iuv([frame.rgb for frame in frames]))
    elif depth and annotators.reads("densepose") and video.densepose is not None:
        iuv = tuple(image.rgb for image in video.densepose.read(indices))
    masks: tuple[np.ndarray, ...] = ()
    if annotators.reads("masks") and video.masks is not None:
        masks = tuple(
            cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY) for image in video.masks.read(indices)
        )
    return Scene(tuple(frame.rgb for frame in frames), people, crop, fps, iuv, masks)
