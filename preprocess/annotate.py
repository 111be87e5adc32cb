"""From frames to an annotated `Clip`: cropping, annotators, colour, and what the json says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from preprocess.annotators.sanity import CheckedKeypoints, nonsense_mask
from preprocess.annotators.scene import Masks, Scene, SpaceAnnotator
from preprocess.annotators.tracked import (
    person_box,
    person_boxes,
    person_colours,
)
from preprocess.background_shift import shift_in_clip
from preprocess.crop import Box, Crop, as_box
from preprocess.depth_range import normalize_depth
from preprocess.errors import ClipError
from preprocess.frames import Frame, frame_rate
from preprocess.identity import CERTAIN, LEAST_LIKE, colours_in_box
from preprocess.load import Annotators, Depth
from preprocess.pixels import pixels_in
from preprocess.reference import cut_reference
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.survey import (
    SURVEY_FRAMES,
    Survey,
    choose_crop,
    make_scene,
    subject_boxes,
    survey,
    with_boxes,
)
from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END, Clip
from shards.sample.keypoints import Keypoints
from shards.sample.skeleton import draw_poses

__all__ = ["ClipRequest", "Limits", "Survey", "annotate", "inside", "survey"]

# A clip's rate may differ by this fraction from the video's because time stamps are rounded: to
# milliseconds in Matroska, 4 % of the step of two frames of 120 a second.
_ROUNDING = 0.05
# A person is in the clip of whose box its square shows at least this fraction.
_IN_SQUARE = 0.5


@dataclass(frozen=True)
class ClipRequest:
    """Which frames of which shot of a video become which clip."""

    key: str
    dataset: str
    split: str
    frame_indices: tuple[int, ...]
    shot: Shot


@dataclass(frozen=True)
class Limits:
    """Which clips are good enough; all of them, unless something is asked for.

    `min_person_frames` is the fraction of frames, in [0, 1], in which a person must be found.
    `min_reference` is the fraction of the foreground's square, in [0, 1], that its mask must
    cover. `max_background_shift` is how far, in pixels of the clip, the background may have moved
    since the reference frame; None for as far as it likes.
    """

    min_person_frames: float = 0.0
    min_reference: float = 0.0
    max_background_shift: float | None = None


def annotate(
    request: ClipRequest,
    video: Video,
    frames: Sequence[Frame],
    survey: Survey,
    annotators: Annotators,
    *,
    size: int,
    limits: Limits = Limits(),
) -> Clip:
    """Make one clip.

    Raises ClipError when the clip is beyond `limits`, when frames differ in size, when the
    source's DensePose or masks are wanted and some cannot be read, or when there is a person but
    no depth range.
    """
    choice = annotators.choice
    pictures = tuple(frame.picture for frame in frames)
    if len(sizes := {frame.size for frame in frames}) > 1:
        raise ClipError(f"frames differ in size: {', '.join(f'{w}x{h}' for w, h in sorted(sizes))}")
    fps = _frame_rate(frames, video.fps)
    alone = request.shot.frames == 1 and request.frame_indices == (survey.reference.frame.index,)
    people = survey.reference.people
    if not alone:
        people = annotators.people(pictures, survey.identity, request.frame_indices)
    boxes = subject_boxes(video, annotators, frames, people)
    square = choose_crop(choice.crop, frames[0].size, boxes, survey.extent, size)
    scene = make_scene(video, annotators, frames, people, square, fps, identity=survey.identity)
    made = _masks(annotators, scene, survey, alone)
    masks = made.clip if made else None
    keypoints = None
    if annotators.pose:
        keypoints = annotators.pose.keypoints(
            with_boxes(annotators, scene, made.boxes if made else None)
        )
    masks, keypoints, nonsense = _checked(annotators, masks, keypoints)
    found = _person_frames(annotators, scene, masks, keypoints)
    if found is not None:
        found = [there and t not in nonsense for t, there in enumerate(found)]
    if found is not None and sum(found) < limits.min_person_frames * len(found):
        raise ClipError(
            _too_few(found, scene, annotators, nonsense)
            + f"; --min-person-frames asks for a fraction of {limits.min_person_frames:g}"
        )
    subject = _subject(scene, annotators, made, keypoints, found)
    reference = cut_reference(survey.reference, square, frames[0].size, survey.joints)
    if found and any(found):
        reference.check(limits.min_reference)
    rgb = np.stack([square.apply(pixels_in(picture, square.box)) for picture in pictures])
    shift = shift_in_clip(
        reference.arrays["background"],
        reference.arrays.get("background_mask"),
        rgb,
        masks,
        square.apply(np.full(frames[0].size[::-1], 255, np.uint8)),
    )
    shift.check(limits.max_background_shift)

    info: dict[str, Any] = {
        "schema": 3,
        "key": request.key,
        "dataset": request.dataset,
        "video": video.id,
        "split": request.split,
        "first_frame": request.frame_indices[0],
        "frame_indices": list(request.frame_indices),
        "shot": request.shot.as_json(),
        "timestamps": [round(frame.seconds, 6) for frame in frames],
        "fps": round(scene.fps, 6),
        "source_size": list(frames[0].size),
        "size": [size, size],
        "crop": {"mode": choice.crop, "box": list(square.box)},
        "picture": dict(sorted(Counter(note for frame in frames for note in frame.notes).items())),
        "person_frames": found,
        "subject": subject,
        "reference": reference.info | shift.info,
        "annotators": {name: record.as_json() for name, record in annotators.records.items()},
    }
    if scene.truths:
        info["camera"] = _camera(scene)
    arrays = {"rgb": rgb, **reference.arrays}
    if masks is not None:
        arrays["mask"] = masks
        if choice.check_poses:
            info["masks"] = {"rejected": len(nonsense)}
    if annotators.pose and keypoints is not None:
        arrays["keypoints"] = keypoints.points
        arrays["pose"] = draw_poses(
            keypoints, (size, size), choice.pose_style, min_score=annotators.pose.min_score
        )
        info["keypoints"] = {
            "joint_set": keypoints.joint_set.name,
            "style": choice.pose_style,
            "min_score": annotators.pose.min_score,
            "people": keypoints.points.shape[1],
            "mean_score": _mean_scores(keypoints.points),
        }
        if isinstance(keypoints, CheckedKeypoints) and keypoints.findings is not None:
            info["keypoints"] |= asdict(keypoints.findings)
    for number, by in enumerate(annotators.depths):
        if alone and survey.depths:
            raw = survey.depths[number]  # computed already
        else:
            raw = by.annotator.depths(scene, masks)
        depth, described = _depth(by, scene, raw, survey.ranges[number])
        for member in by.spec.fills:
            arrays[member] = depth
            if member == "depth_frame":
                described = {**described, "grey": choice.grey}
                if choice.grey == "near-white":
                    arrays[member] = 1 - depth
            info.setdefault("depth", {})[member] = described
    if isinstance(annotators.pose, SpaceAnnotator):
        arrays["joints"] = annotators.pose.space(scene)
    if annotators.normals:
        arrays["normals"] = annotators.normals.normals(scene)
    if annotators.flow:
        arrays["flow"] = annotators.flow.flow(scene)
    return Clip.of(request.key, arrays, info)


def _camera(scene: Scene) -> dict[str, Any]:
    """What is true of the camera of rendered frames, in pixels of the clip: `focal` and `centre`,
    and for each frame `turn` and `place`. A point p of the world, in metres, is
    turn @ (p - place) in the camera's axes: x right, y down, z away; pixels' centres are integers.
    """
    cameras = [truth.camera for truth in scene.truths]
    to_clip = scene.crop.to_clip
    centre = to_clip @ [*cameras[0].centre, 1]
    return {
        "focal": round(cameras[0].focal * float(to_clip[0, 0]), 6),
        "centre": [round(float(v), 6) for v in centre],
        "turn": [np.round(camera.turn, 9).tolist() for camera in cameras],
        "place": [np.round(camera.place, 6).tolist() for camera in cameras],
    }


def _checked(
    annotators: Annotators, masks: np.ndarray | None, keypoints: Keypoints | None
) -> tuple[np.ndarray | None, Keypoints | None, dict[int, str]]:
    """Masks and key points without the frames in which a network's mask is no person's, and for
    each of those frames why. Where mask and pose are the tracker's, the pose goes with it."""
    if masks is None or not annotators.choice.check_poses or annotators.chosen["mask"].spec.reads:
        return masks, keypoints, {}
    points = None if keypoints is None else keypoints.points
    reasons = {
        t: reason
        for t, mask in enumerate(masks)
        if (reason := nonsense_mask(mask, None if points is None else points[t]))
    }
    if not reasons:
        return masks, keypoints, {}
    masks = masks.copy()
    masks[list(reasons)] = 0
    if keypoints is not None and annotators.chosen["pose"].spec.needs_tracker:
        points = keypoints.points.copy()
        points[list(reasons), ..., 2] = 0
        keypoints = replace(keypoints, points=points)
    return masks, keypoints, reasons


def _too_few(
    found: Sequence[bool], scene: Scene, annotators: Annotators, nonsense: Mapping[int, str]
) -> str:
    """Why a clip shows its subject in too few frames."""
    frames = f"{sum(found)} of {len(found)} frames"
    if nonsense:
        first, *_ = nonsense.values()
        return f"a person was found in {frames}; {len(nonsense)} masks are no person's: {first}"
    if scene.identity is None:
        return f"a person was found in {frames}"
    who = f"the subject (person {scene.identity.number} of {len(scene.identity.people)})"
    missing = [t for t, there in enumerate(found) if not there]
    middle = missing[len(missing) // 2]
    if scene.people and scene.people[middle] is not None:
        return f"{who} was found in {frames}: elsewhere it is outside the clip's square"
    others = annotators.count_people(scene.pictures[middle])
    instead = f"another person is there ({others} seen)" if others else "nobody else is there"
    return f"{who} was found in {frames}: {instead}"


def _subject(
    scene: Scene,
    annotators: Annotators,
    made: Masks | None,
    keypoints: Keypoints | None,
    found: Sequence[bool] | None,
) -> dict[str, Any] | None:
    """What the json says of the subject: by which rule it was chosen, and which of how many people
    it is; in which frames of the video it was lost; and how much it is in its colours like the
    shot's, 0 to 1, the median over the clip's frames.

    None where nobody was looked for. Raises ClipError when it is somebody else.
    """
    if found is None:
        return None
    lost = [index for index, there in zip(scene.indices, found, strict=True) if not there]
    identity = scene.identity
    if identity is None:
        rule = "all" if annotators.choice.people == "all" else annotators.choice.person
        return {"rule": rule, "number": None, "people": None, "lost": lost, "match": None}
    by_tracker = identity.masked and bool(scene.people)
    likes = []
    for t, frame in enumerate(scene.pictures):
        height, width = frame.shape[:2]
        person = scene.people[t] if by_tracker else None
        if person is not None:
            box, colours = person_box(person, width, height), person_colours(person, frame)
        elif not by_tracker and (boxes := _subject_boxes(scene, made, keypoints, t)):
            box = boxes[0]
            colours = colours_in_box(frame, box)
        else:
            continue
        likes.append(identity.likeness(scene.indices[t], box, colours, boxed=not by_tracker))
    match = None
    if likes:
        match = round(float(np.median([like.colours for like in likes])), 3)
        if np.median([like.margin for like in likes]) < -CERTAIN or match < LEAST_LIKE:
            raise ClipError(
                f"another person: by place and colours it is not the shot's subject (match {match})"
            )
    return {
        "rule": identity.rule,
        "number": identity.number,
        "people": len(identity.people),
        "lost": lost,
        "match": match,
    }


def _subject_boxes(
    scene: Scene, made: Masks | None, keypoints: Keypoints | None, t: int
) -> tuple[Box, ...]:
    """The subject's box in a frame, in the source's pixels, as who finds people in it says."""
    if made is not None and made.boxes:
        return made.boxes[t]
    if keypoints is None:
        return ()
    points = keypoints.points[t, 0]
    points = points[points[:, 2] > 0, :2]
    if not len(points):
        return ()
    to_clip = scene.crop.to_clip
    corners = (np.array([points.min(0), points.max(0)]) - to_clip[:, 2]) / np.diag(to_clip[:, :2])
    return (as_box(corners.ravel()),)


def _masks(annotators: Annotators, scene: Scene, survey: Survey, alone: bool) -> Masks | None:
    seen = survey.reference
    if alone and annotators.mask_of_frame and seen.mask is not None:  # looked for already
        return Masks(scene.crop.apply(seen.mask)[None], (seen.boxes,))
    return annotators.mask.masks(scene) if annotators.mask else None


def _frame_rate(frames: Sequence[Frame], video_fps: float) -> float:
    """Frames a second of a clip's own frames.

    The video's rate where they agree with it but for the rounding of time stamps, which a clip of
    few frames would show.
    """
    if len(frames) < 2:
        return video_fps
    expected = video_fps / (frames[1].index - frames[0].index)
    own = frame_rate([frame.seconds for frame in frames])
    return own if own and abs(own / expected - 1) > _ROUNDING else expected


def _depth(
    by: Depth,
    scene: Scene,
    raw: np.ndarray,
    near_far: tuple[float, float] | None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """A sample's depth, (T, S, S) float32 in [0, 1], and what its json says of it."""
    described: dict[str, Any] = {"label": by.annotator.label, "unit": by.annotator.unit}
    if by.spec.reads and by.spec.reads.of == "densepose":
        described["densepose"] = bool(scene.iuv)
    if near_far is None:
        if np.isfinite(raw).any():
            raise ClipError(
                f"no depth range: the {SURVEY_FRAMES} frames over which this shot's range is "
                f"measured show nobody, this clip does, and {by.record.name} has a scale "
                "of its own"
            )
        empty = np.full(raw.shape, BACKGROUND_DEPTH, np.float32)
        return empty, {**described, "near": None, "far": None, "far_at": None, "clamped": 0}
    near, far = near_far
    end = BACKGROUND_DEPTH if by.spec.whole_frame else FOREGROUND_DEPTH_END
    depth, clamped = normalize_depth(raw, near, far, end=end)
    ends = {"near": round(near, 6), "far": round(far, 6), "far_at": end}
    measured = {**ends, "clamped": clamped}
    return depth, {**described, **measured}


def _person_frames(
    annotators: Annotators,
    scene: Scene,
    masks: np.ndarray | None,
    keypoints: Keypoints | None,
) -> list[bool] | None:
    """By those who look for people in whole frames, else by the lite tracker.

    A person counts who is in the clip's square, not somewhere else in the source's picture.
    """
    if annotators.mask_of_frame and masks is not None:
        return [bool((mask > 127).any()) for mask in masks]
    if masks is None and keypoints is not None and annotators.chosen["pose"].spec.finds_people:
        return [bool((frame[..., 2] > 0).any()) for frame in keypoints.points]
    if not scene.people:
        return None
    boxes = person_boxes(scene.people, scene.pictures)
    there = [bool(box) and inside(box[0], scene.crop) >= _IN_SQUARE for box in boxes]
    if masks is not None:
        there = [seen and bool((mask > 127).any()) for seen, mask in zip(there, masks, strict=True)]
    return there


def inside(box: Box, crop: Crop) -> float:
    """The fraction of a person's box, in the source's pixels, that the clip's square shows."""
    (x0, y0, x1, y1), (left, top, right, bottom) = box, crop.box
    width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
    return max(width, 0) * max(height, 0) / max((x1 - x0) * (y1 - y0), 1e-9)


def _mean_scores(points: np.ndarray) -> list[float]:
    """Per frame, the mean score of the 18 body joints of the best person."""
    body = points[:, :, :18, 2].mean(-1)
    return [round(float(scores.max(initial=0.0)), 4) for scores in body]
