"""A person, or a motion, of a clip in shards, named as `DATASET::KEY`."""

from __future__ import annotations

import numpy as np

from idol.config.generate import BETWEEN
from idol.generate.errors import GenerationError
from idol.generate.generator import FPS, arrays_of, joints_of
from idol.generate.inputs.values import Motion, Person
from preprocess.annotators.sanity import joints_in_mask
from preprocess.crop import main_box
from shards import Clip, open_dataset
from shards.files.digest import canonical_json, sha256
from shards.reader import read_sample
from shards.sample.codec import decode_clip
from shards.sample.keypoints import COCO_18, OPENPOSE_134, only_finite
from shards.sample.skeleton import MIN_SCORE
from shards.sample.traces import number_said

__all__ = ["clip_sha256", "motion_of_clip", "person_of_clip", "read_clip"]

_BODY = len(COCO_18)
_IN_PLACE = 0.8  # of the joints that lie in a mask of the same moment, at least
_SOLE = 0.05  # of a body's size that the ground is below the ankles


def read_clip(text: str) -> Clip:
    """The clip of `DATASET::KEY`; of the key its beginning is enough.

    Raises GenerationError for other text, and ShardsError where there is no such clip.
    """
    return decode_clip(_members(text))


def clip_sha256(text: str) -> str:
    """Of the names and bytes of a clip's members. A dataset that was built again has the same keys.

    Raises as `read_clip`.
    """
    return sha256(canonical_json([[name, sha256(data)] for name, data in _members(text)]))


def _members(text: str) -> list[tuple[str, bytes]]:
    dataset, _, key = text.rpartition(BETWEEN)
    if not dataset or not key:
        raise GenerationError(
            f"{text}: a clip is named as DATASET::KEY; `idol-shards ls` lists keys"
        )
    return read_sample(open_dataset(dataset).find(key))


def person_of_clip(clip: Clip) -> Person:
    """The clip's reference and background, which lies under its frames as they are.

    Raises GenerationError, naming the modalities that it lacks.
    """
    names = ("reference", "reference_mask", "background", "background_mask")
    reference, reference_mask, background, mask = arrays_of(clip, names, "a mask")
    points = _points(clip)
    seen = None if points is None else points[np.any(points[:, :_BODY, 2] > 0, axis=1)]
    if seen is not None and len(seen):
        seen = _as_in_reference(seen, mask)
    return Person(
        reference,
        reference_mask,
        background,
        mask,
        seen if seen is not None and len(seen) else None,
        clip.key,
        {"kind": "clip", "size": [clip.rgb.shape[2], clip.rgb.shape[1]]},
        joints_of(clip)[0],
    )


def motion_of_clip(clip: Clip) -> Motion:
    """The clip's key points or, where it has none, its drawn skeletons.

    Of several people it is the first. Raises GenerationError where it has neither.
    """
    size = (clip.rgb.shape[2], clip.rgb.shape[1])
    fps = number_said(clip.info, "fps")
    info = {
        "kind": "clip",
        "size": list(size),
        "frames": len(clip.rgb),
        "fps_from": "the clip" if fps else "the default",
    }
    shown = {t: clip.rgb[t] for t in np.unique(np.linspace(0, len(clip.rgb) - 1, 8).astype(int))}
    points = _points(clip)
    if points is None:
        if clip.pose is None:
            raise GenerationError(
                f"clip {clip.key} has no keypoints and no pose: build with a pose annotator"
            )
        return Motion(None, size, fps or FPS, clip.key, clip.pose, info=info, frames=shown)
    least = number_said(clip.info.get("keypoints"), "min_score")
    return Motion(
        points, size, fps or FPS, clip.key, None, MIN_SCORE if least is None else least, info, shown
    )


def _as_in_reference(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The clip's poses (N, 134, 3), first that which the reference's mask (S, S) in the clip's crop
    shows best, in the mask's place: the reference is another moment than most of the clip's."""
    inside = [joints_in_mask(mask, pose[None]) or 0.0 for pose in points]
    best = int(np.argmax(inside))
    box = main_box(mask)
    ordered = np.concatenate([points[best : best + 1], np.delete(points, best, axis=0)])
    if box is None or inside[best] >= _IN_PLACE:
        return ordered
    body = ordered[0, :_BODY]
    xy = body[body[:, 2] > 0, :2]
    size = float(np.ptp(xy, axis=0).max())
    x = (box[0] + box[2]) / 2 - (xy[:, 0].min() + xy[:, 0].max()) / 2
    y = box[3] - (xy[:, 1].max() + _SOLE * size)
    ordered[0, :, :2] += np.array([x, y], np.float32)
    return ordered


def _points(clip: Clip) -> np.ndarray | None:
    """(F, 134, 3) finite, of the first person; None where the clip has none, or of other joints."""
    points = clip.keypoints
    if points is None or points.shape[2] != len(OPENPOSE_134) or not points.shape[1]:
        return None
    return only_finite(points[:, 0])
