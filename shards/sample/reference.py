"""What a clip's json says of its reference frame, and whether its images agree.

"reference": {"frame": 12, "person": true, "box": [80, 4, 320, 244], "coverage": 0.31,
              "background_shift": [1.5, 0.0], "background_match": 0.98,
              "joints": [[61.2, 30.5, 0.98], ...]}

`joints` are those of `COCO_18`: x, y in pixels of the foreground, and a score in [0, 1].
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = [
    "background_lost",
    "background_shift",
    "coverage",
    "described",
    "reference_faults",
    "without_subject",
]

_PERSON = 127  # masks above this are the person
_TOLERANCE = 0.005  # of a coverage, which the json has rounded
_JOINTS = 18  # of `shards.sample.keypoints.COCO_18`
_NAN = float("nan")


def described(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """The json's `reference`; empty where it says nothing."""
    reference = info.get("reference")
    return reference if isinstance(reference, dict) else {}


def coverage(mask: np.ndarray) -> float:
    """The fraction of a foreground's mask (H, W) uint8 that is the person."""
    return float((mask > _PERSON).mean())


def without_subject(info: Mapping[str, Any]) -> float:
    """1 for a foreground that does not show the subject, else 0; NaN where nobody looked."""
    reference = described(info)
    if reference.get("person") is None:
        return _NAN
    return float(reference["person"] is False or reference.get("coverage") == 0)


def background_shift(info: Mapping[str, Any]) -> float:
    """How far the clip's background moved since the reference frame, in pixels of the clip.

    NaN where it was not, or could not be, measured.
    """
    shift: Any = described(info).get("background_shift")
    return float(np.hypot(shift[0], shift[1])) if _numbers(shift, 2) else _NAN


def background_lost(info: Mapping[str, Any]) -> float:
    """1 where the reference frame's background could be compared and is not that of the clip, as
    after a zoom; else 0. NaN where it could not be compared."""
    reference = described(info)
    if reference.get("background_match") is None:
        return _NAN
    return float(reference.get("background_shift") is None)


def reference_faults(info: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Where the json and the images of the reference frame contradict each other, one line each.

    arrays: those of a sample, by modality. A json that says nothing contradicts nothing.
    """
    if "reference" not in info:
        return
    reference = described(info)
    if not reference:
        yield "json: reference is no object"
        return
    for name in ("reference", "background"):
        if name not in arrays:
            yield f"json: describes a reference frame, but there is no {name}"
    one, other = "reference_mask", "background_mask"
    if (one in arrays) != (other in arrays):
        there, absent = (one, other) if one in arrays else (other, one)
        yield f"has {there}, but no {absent}"
    frame, person = reference.get("frame"), reference.get("person")
    if type(frame) is not int or frame < 0:
        yield f"json: reference frame {frame} is no whole number from 0 up"
    if person not in (True, False, None):
        yield f"json: reference says {person!r} of the person, not true, false or null"
    if "box" in reference and not _is_square(reference["box"]):
        yield f"json: reference box {reference['box']} is no square"
    joints = reference.get("joints")
    if joints is not None and not _are_joints(joints):
        yield "json: reference joints are not 18 times x, y and a score"
    shift = reference.get("background_shift")
    if shift is not None and not _numbers(shift, 2):
        yield f"json: background_shift {shift} is no pair of numbers"
    yield from _coverage_faults(reference, arrays.get(one))


def _coverage_faults(reference: Mapping[str, Any], mask: np.ndarray | None) -> Iterator[str]:
    said: Any = reference.get("coverage")
    if mask is None:
        if said is not None:
            yield f"json: reference coverage is {said}, but there is no reference_mask"
        return
    covered = coverage(mask)
    if not covered and reference.get("person") is True:
        yield "json: the reference shows a person, but reference_mask is empty"
    if not _numbers([said], 1):
        yield f"json: reference coverage is {said}, reference_mask covers {covered:.4f}"
    elif abs(covered - said) > _TOLERANCE:
        yield f"json: reference coverage is {said:.4f}, reference_mask covers {covered:.4f}"


def _are_joints(joints: Any) -> bool:
    rows = joints if isinstance(joints, list) else []
    return len(rows) == _JOINTS and all(_numbers(row, 3) for row in rows)


def _is_square(box: Any) -> bool:
    return _numbers(box, 4) and box[2] - box[0] == box[3] - box[1] > 0


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        and bool(np.isfinite(values).all())
    )
