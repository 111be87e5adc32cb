"""From frames to an annotated `Clip`: cropping, annotators, colour, and what the json says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocess.annotators import Annotators
from preprocess.choices import CropMode
from preprocess.clip import Clip
from preprocess.crop import Crop, centre_crop, subject_crop, whole_frame
from preprocess.depths.ranges import LEAST_METRES, LEAST_UNITS, depth_range, normalize_depth
from preprocess.errors import ClipError
from preprocess.frames import Frame, read_each
from preprocess.lite.extent import person_box
from preprocess.lite.person import PersonFrame
from preprocess.scene import DepthAnnotator, Scene
from preprocess.skeleton import draw_poses
from preprocess.sources.base import Video

__all__ = ["ClipRequest", "Survey", "annotate", "survey"]

SURVEY_FRAMES = 16


@dataclass(frozen=True)
class ClipRequest:
    """Which frames of which video become which clip."""

    key: str
    dataset: str
    split: str
    frame_indices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Survey:
    """What the clips of one video share, so that they agree.

    `reference` is the video's reference frame, and `reference_people` what the tracker gives for
    it; `near_far` is the depth range from frames spread over the video, or None without depth.
    """

    reference: Frame
    reference_people: tuple[PersonFrame | None, ...]
    near_far: tuple[float, float] | None

    @property
    def reference_has_person(self) -> bool | None:
        """None where nobody was looked for."""
        return self.reference_people[0] is not None if self.reference_people else None


def survey(video: Video, annotators: Annotators, size: int) -> Survey:
    """Look at up to 16 frames spread over the video; those that cannot be read are passed over.

    The reference is the first of them with a person, the video's first frame nearly always: the
    paper's rule would give a video that begins empty no foreground to learn from.
    Raises ClipError when none can be read.
    """
    count = min(SURVEY_FRAMES, video.frames)
    indices = np.unique(np.linspace(0, video.frames - 1, count).round().astype(int))
    seen: list[tuple[Frame, tuple[PersonFrame | None, ...]]] = []
    raw = []
    failures: list[ClipError] = []
    for frame in read_each(video.reader, indices.tolist()):
        if isinstance(frame, ClipError):
            failures.append(frame)
            continue
        # The frames are far apart: each is looked at as if it were alone.
        people = annotators.people([frame.rgb])
        if not seen or (people and people[0] is not None and seen[0][1][0] is None):
            seen = [(frame, people)]
        if annotators.depth and annotators.mask:
            # Metres are the same in any crop, and closest seen; a network's scale is the clip's.
            mode = "subject" if annotators.depth.metres else annotators.choice.crop
            crop = choose_crop(mode, frame.rgb, people, size)
            try:
                iuv = _densepose(video, annotators, (frame.index,))
                scene = Scene((frame.rgb,), people, crop, video.fps, iuv)
                raw.append(annotators.depth.depths(scene, annotators.mask.masks(scene)))
            except ClipError as error:
                failures.append(error)
        elif not people or people[0] is not None:
            break  # the reference is found, and nothing else is wanted
    if not seen or (annotators.depth and annotators.mask and not raw):
        raise failures[0]
    ((reference, people),) = seen
    near_far = _range(annotators.depth, raw) if annotators.depth else None
    return Survey(reference, people, near_far)


def _range(annotator: DepthAnnotator, raw: list[np.ndarray]) -> tuple[float, float] | None:
    if not raw:
        return None
    least = LEAST_METRES if annotator.metres else LEAST_UNITS
    return depth_range(np.concatenate(raw), least_extent=least)


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


def annotate(
    request: ClipRequest,
    video: Video,
    frames: Sequence[Frame],
    survey: Survey,
    annotators: Annotators,
    *,
    size: int,
    min_person_frames: float,
) -> Clip:
    """Make one clip.

    `min_person_frames` is the share of frames, in [0, 1], in which a person must be found.
    Raises ClipError when fewer have one, when frames differ in size, or when the depth annotator
    wants the source's DensePose and some of it cannot be read.
    """
    choice = annotators.choice
    images = tuple(frame.rgb for frame in frames)
    if len(sizes := {(image.shape[1], image.shape[0]) for image in images}) > 1:
        raise ClipError(f"frames differ in size: {', '.join(f'{w}x{h}' for w, h in sorted(sizes))}")
    step = request.frame_indices[1] - request.frame_indices[0] if len(frames) > 1 else 1
    alone = request.frame_indices == (survey.reference.index,)
    people = survey.reference_people if alone else annotators.people(images)
    square = choose_crop(choice.crop, images[0], people, size)
    iuv = _densepose(video, annotators, request.frame_indices)
    scene = Scene(images, people, square, video.fps / step, iuv)
    masks = annotators.mask.masks(scene) if annotators.mask else None
    found = _person_frames(people, masks)
    if found is not None and sum(found) < min_person_frames * len(found):
        raise ClipError(
            f"a person was found in {sum(found)} of {len(found)} frames; "
            f"--min-person-frames asks for a share of {min_person_frames:g}"
        )

    info: dict[str, Any] = {
        "schema": 1,
        "key": request.key,
        "dataset": request.dataset,
        "video": video.id,
        "split": request.split,
        "first_frame": request.frame_indices[0],
        "frame_indices": list(request.frame_indices),
        "timestamps": [round(frame.seconds, 6) for frame in frames],
        "fps": round(scene.fps, 6),
        "source_size": [images[0].shape[1], images[0].shape[0]],
        "size": [size, size],
        "crop": {"mode": choice.crop, "box": list(square.box)},
        "person_frames": found,
        "reference": {
            "frame": survey.reference.index,
            "person": survey.reference_has_person,
        },
        "annotators": {name: record.as_json() for name, record in choice.records().items()},
    }
    arrays: dict[str, np.ndarray] = {}
    if annotators.mask and masks is not None and choice.mask != "none":
        reference = Scene((survey.reference.rgb,), survey.reference_people, square, scene.fps)
        arrays["mask"] = masks
        arrays["reference_mask"] = annotators.mask.masks(reference)[0]
    if annotators.pose:
        keypoints = annotators.pose.keypoints(scene)
        arrays["keypoints"] = keypoints.points
        arrays["pose"] = draw_poses(keypoints, (size, size), choice.pose_style)
        info["keypoints"] = {
            "joint_set": keypoints.joint_set.name,
            "style": choice.pose_style,
            "people": keypoints.points.shape[1],
            "mean_score": _mean_scores(keypoints.points),
        }
    if annotators.depth and masks is not None and survey.near_far:
        near, far = survey.near_far
        depth, clamped = normalize_depth(annotators.depth.depths(scene, masks), near, far)
        arrays["hdnet"] = arrays["midas"] = depth
        described = {
            "label": annotators.depth.label,
            "unit": annotators.depth.unit,
            "near": round(near, 6),
            "far": round(far, 6),
            "clamped": clamped,
        }
        info["depth"] = {"hdnet": described, "midas": described}
    return Clip(
        request.key,
        np.stack([square.apply(image) for image in images]),
        reference=square.apply(survey.reference.rgb),
        info=info,
        **arrays,
    )


def _densepose(
    video: Video, annotators: Annotators, indices: Sequence[int]
) -> tuple[np.ndarray, ...]:
    if annotators.depth is None or not annotators.depth.densepose or video.densepose is None:
        return ()
    return tuple(picture.rgb for picture in video.densepose.read(indices))


def _person_frames(
    people: Sequence[PersonFrame | None], masks: np.ndarray | None
) -> list[bool] | None:
    if people:
        return [person is not None for person in people]
    return None if masks is None else [bool((mask > 127).any()) for mask in masks]


def _mean_scores(points: np.ndarray) -> list[float]:
    """Per frame, the mean score of the 18 body joints of the best person."""
    body = points[:, :, :18, 2].mean(-1)
    return [round(float(scores.max(initial=0.0)), 4) for scores in body]
