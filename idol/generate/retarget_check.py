"""Whether a motion can be that of a person who is known from one view: it is said why not.

A model that was shown somebody's front does not know their back, and one that was shown somebody
sitting does not know their legs.
"""

from __future__ import annotations

import numpy as np

from idol.generate.retarget import BODY, seen_body
from shards.sample.keypoints import COCO_18
from shards.sample.skeleton import MIN_SCORE

__all__ = ["LEAST_JOINTS", "facing", "misfits", "thigh_drop"]

LEAST_JOINTS = 8
"""Of the 18 of the body, that must be seen of the person, and of the motion in half its frames."""

_NECK = COCO_18.joints.index("neck")
_WIDTHS = {"shoulder": 0.7, "hip": 0.4}  # of a grown-up seen from the front, in torsos
_FACING = 0.3  # of the full width of somebody facing the camera: less is a side view
_SITTING = 0.54  # of the torso's length, that the knees of people who stand are below the hips
_MOSTLY = 0.5


def misfits(driving: np.ndarray, person: np.ndarray, *, min_score: float = MIN_SCORE) -> list[str]:
    """Why a motion cannot be the person's, one line each; none where it can.

    driving: (F, J, 3) and person: (N, J, 3) of x, y and score, the first 18 joints as in COCO_18.
    """
    reasons = []
    for who, points in (("the person", person), ("the motion", driving)):
        joints = int(np.median(seen_body(points, min_score).sum(-1))) if len(points) else 0
        if joints < LEAST_JOINTS:
            where = "shows" if points is person or len(points) == 1 else "shows in half its frames"
            reasons.append(
                f"{who} {where} {joints} of {BODY} joints of the body, {LEAST_JOINTS} are needed"
            )
    if reasons:
        return reasons
    own = facing(person, min_score)
    theirs = facing(driving, min_score)
    if np.isfinite(own).any() and np.isfinite(theirs).any():
        side = float(np.nanmedian(own))
        away = theirs[np.isfinite(theirs)] * np.sign(side) < -_FACING
        if abs(side) > _FACING and away.mean() > _MOSTLY:
            seen = "from the front" if side > 0 else "from behind"
            other = "from behind" if side > 0 else "from the front"
            reasons.append(
                f"the person is seen {seen}, the motion {other} in {away.mean():.0%} of its frames"
            )
    own, theirs = thigh_drop(person, min_score), thigh_drop(driving, min_score)
    if np.isfinite(own).any() and np.isfinite(theirs).any():
        sits = float(np.nanmedian(own)) < _SITTING
        low = theirs[np.isfinite(theirs)] < _SITTING
        if sits and (~low).mean() > _MOSTLY:
            reasons.append(
                f"the person sits or squats, the motion stands in {(~low).mean():.0%} of its frames"
            )
        # Who goes down and comes up again has stood.
        if not sits and low.mean() > 0.75:
            reasons.append(
                f"the person stands, the motion sits or squats in {low.mean():.0%} of its frames"
            )
    return reasons


def facing(points: np.ndarray, min_score: float = MIN_SCORE) -> np.ndarray:
    """(F,) 1 where the body faces the camera, 0 seen from the side, -1 from behind; NaN where
    neither shoulders and hips are seen. Of (F, J, 3).

    A person's left is on the right of a picture of their front.
    """
    torso = _torso(points, min_score)
    seen = seen_body(points, min_score)
    widths = []
    for part, width in _WIDTHS.items():
        right, left = COCO_18.indices(f"right_{part}", f"left_{part}")
        across = points[:, left, 0].astype(np.float64) - points[:, right, 0]
        known = seen[:, left] & seen[:, right]
        widths.append(np.where(known, across / (width * torso), np.nan))
    both = np.stack(widths)
    count = np.isfinite(both).sum(0)
    mean = np.nansum(both, axis=0) / np.maximum(count, 1)
    return np.where(count > 0, np.clip(mean, -1, 1), np.nan)


def thigh_drop(points: np.ndarray, min_score: float = MIN_SCORE) -> np.ndarray:
    """(F,) how far the knees are below the hips, in torsos or shins, whichever is seen longer: .6
    to .9 of people who stand, below .5 of those who sit; NaN where hips or knees are not seen. Of
    (F, J, 3)."""
    seen = seen_body(points, min_score)
    xy = points[:, :BODY, :2].astype(np.float64)
    hips, knees, ankles = (
        COCO_18.indices(f"right_{part}", f"left_{part}") for part in ("hip", "knee", "ankle")
    )
    drops, shins = [], []
    for hip, knee, ankle in zip(hips, knees, ankles, strict=True):
        drops.append(np.where(seen[:, hip] & seen[:, knee], xy[:, knee, 1] - xy[:, hip, 1], np.nan))
        shin = np.linalg.norm(xy[:, ankle] - xy[:, knee], axis=-1)
        shins.append(np.where(seen[:, knee] & seen[:, ankle], shin, 0))
    both = np.stack(drops)
    count = np.isfinite(both).sum(0)
    drop = np.nansum(both, axis=0) / np.maximum(count, 1)
    length = np.fmax(_torso(points, min_score), np.max(shins, axis=0))
    return np.where(count > 0, drop / np.maximum(length, 1e-6), np.nan)


def _torso(points: np.ndarray, min_score: float) -> np.ndarray:
    """(F,) pixels from the neck to the middle of the hips; NaN where either is not seen."""
    seen = seen_body(points, min_score)
    hips = COCO_18.indices("right_hip", "left_hip")
    known = np.any(seen[:, hips], axis=1) & seen[:, _NECK]
    weight = seen[:, hips] / np.maximum(seen[:, hips].sum(1), 1)[:, None]
    middle = (points[:, hips, :2].astype(np.float64) * weight[..., None]).sum(1)
    length = np.linalg.norm(points[:, _NECK, :2] - middle, axis=-1)
    return np.where(known, np.maximum(length, 1e-6), np.nan)
