"""How far what was found is from what is true: of each frame, by name.

All functions take a `TrueClip` and give a dictionary of (T,) float64 arrays. NaN is a frame of
which a figure says nothing: the subject is not in the picture, or nobody was found whose error
could be told. A figure of many frames is the mean of those that are not NaN.
"""

from __future__ import annotations

import cv2
import numpy as np

from idol.bench.annotators.truth import BODY, TrueClip
from shards.sample.keypoints import COCO_18

__all__ = ["DEPTH_FIGURES", "MASK_FIGURES", "POSE_FIGURES", "depth", "keypoints", "masks"]

POSE_FIGURES = (
    "missed",
    "wrong",
    "pck_10",
    "pck_05",
    "pck_10_hidden",
    "error",
    "swapped",
    "jitter",
)
MASK_FIGURES = ("missed", "wrong", "iou", "boundary_f", "flicker")
DEPTH_FIGURES = (
    "missed",
    "wrong",
    "covered",
    "error_cm",
    "flat_cm",
    "aligned_cm",
    "flat_aligned_cm",
    "flicker_cm",
)

_PAIRS = np.array(
    [
        COCO_18.indices(f"right_{joint}", f"left_{joint}")
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ]
)
_APART = 0.05  # of the box's longer side: nearer to each other, sides cannot be told apart
_FAR = 0.5  # of the box's longer side, the mean of all joints: this is nobody
_NOBODY = 0.1  # of the union that is shared with the subject, or of the subject that has depth
_PERSON = 127  # above it a pixel is a person's
_BOUNDARY = 0.008  # of the picture's diagonal, as DAVIS compares outlines


def keypoints(true: TrueClip, points: np.ndarray) -> dict[str, np.ndarray]:
    """points: (T, people, joints, 3) of OPENPOSE_134 in pixels of the clip; the first person is
    compared with the subject, joints scored 0 are not found.

    With B the longer side of the subject's box: `pck_10` and `pck_05` are the fractions of the
    joints that are seen which are found within .1 B and .05 B, 0 in frames where nobody is found;
    `pck_10_hidden` is of those that are in the picture but hidden. `missed` is 1 where no joint is
    found. `wrong` is 1 where the joints are nearer to somebody else's than to the subject's, or
    half of B away, on average. Of the other frames: `error` is the mean distance of seen joints
    that are found, over B; `swapped` the fraction of left-right pairs, apart by .05 B or more,
    which fit the other way round better; `jitter` the mean distance, over B, by which a joint's
    step from the frame before differs from its true one.
    """
    found = _empty(POSE_FIGURES, len(points))
    before: np.ndarray | None = None  # (18, 2) error in the frame before, where it is known
    for t, people in enumerate(points):
        if not true.counts(t):
            before = None
            continue
        person, truth = people[0, :BODY], true.joints[t, 0]
        longer = _longer_side(true, t)
        known = person[:, 2] > 0
        seen, hidden = truth[:, 2] == 1, truth[:, 2] == 0.5
        away = np.linalg.norm(person[:, :2] - truth[:, :2], axis=1) / longer
        for name, of, within in (
            ("pck_10", seen, 0.1),
            ("pck_05", seen, 0.05),
            ("pck_10_hidden", hidden, 0.1),
        ):
            if of.any():
                found[name][t] = (known & (away <= within))[of].mean()
        found["missed"][t] = not known.any()
        if not known.any():
            before = None
            continue
        found["wrong"][t] = wrong = _somebody_else(true, t, person, known, longer)
        if wrong:
            before = None
            continue
        if (known & seen).any():
            found["error"][t] = away[known & seen].mean()
        found["swapped"][t] = _swapped(person, truth, known, longer)
        error = np.where((known & (truth[:, 2] > 0))[:, None], person[:, :2] - truth[:, :2], np.nan)
        if before is not None:
            step = np.linalg.norm(error - before, axis=1) / longer
            if np.isfinite(step).any():
                found["jitter"][t] = np.nanmean(step)
        before = error
    return found


def _somebody_else(
    true: TrueClip, t: int, person: np.ndarray, known: np.ndarray, longer: float
) -> bool:
    away = []
    for other in true.joints[t]:
        both = known & (other[:, 2] > 0)
        distance = np.linalg.norm(person[both, :2] - other[both, :2], axis=1)
        away.append(distance.mean() / longer if both.any() else np.inf)
    return bool(away[0] > _FAR or away[0] > min(away))


def _swapped(person: np.ndarray, truth: np.ndarray, known: np.ndarray, longer: float) -> float:
    right, left = _PAIRS.T
    usable = known[right] & known[left] & (truth[right, 2] > 0) & (truth[left, 2] > 0)
    apart = np.linalg.norm(truth[right, :2] - truth[left, :2], axis=1)
    usable &= apart >= _APART * longer
    if not usable.any():
        return np.nan

    def distance(of: np.ndarray, to: np.ndarray) -> np.ndarray:
        return np.linalg.norm(person[of, :2] - truth[to, :2], axis=1)

    exchanged = distance(right, left) + distance(left, right)
    return float((exchanged < distance(right, right) + distance(left, left))[usable].mean())


def masks(true: TrueClip, found_masks: np.ndarray) -> dict[str, np.ndarray]:
    """found_masks: (T, S, S) uint8 of the subject, a person above 127.

    `missed` is 1 where the mask is empty, `wrong` where it shares more with somebody else than
    with the subject, or less than a tenth with anybody, intersection over union. `iou` and
    `boundary_f`, 0 where missed, are intersection over union, and the harmonic mean of precision
    and recall of outlines that may lie .008 of the picture's diagonal apart, as in DAVIS.
    `flicker`: by how much pixels change since the frame before beyond or against their true
    change, summed, over the subject's area.
    """
    found = _empty(MASK_FIGURES, len(found_masks))
    for t, mask in enumerate(found_masks):
        if not true.counts(t):
            continue
        person = mask > _PERSON
        overlaps = [_iou(person, of > _PERSON) for of in true.masks[t]]
        found["missed"][t] = not person.any()
        if person.any():
            found["wrong"][t] = overlaps[0] < _NOBODY or overlaps[0] < max(overlaps)
        subject = true.masks[t, 0]
        found["iou"][t] = overlaps[0]
        found["boundary_f"][t] = _boundary_f(person, subject > _PERSON)
        if t and true.counts(t - 1):
            change = mask.astype(np.float64) - found_masks[t - 1]
            true_change = subject.astype(np.float64) - true.masks[t - 1, 0]
            area = subject.sum(dtype=np.float64)
            found["flicker"][t] = np.abs(change - true_change).sum() / area
    return found


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def _boundary_f(found: np.ndarray, true: np.ndarray) -> float:
    """Of two (S, S) bool masks, of which the second is not empty."""
    outlines = [_outline(found), _outline(true)]
    if not outlines[0].any():
        return 0.0
    reach = _BOUNDARY * np.hypot(*true.shape)
    away = [cv2.distanceTransform((~o).astype(np.uint8), cv2.DIST_L2, 5) for o in outlines]
    precision = (away[1][outlines[0]] <= reach).mean()
    recall = (away[0][outlines[1]] <= reach).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _outline(mask: np.ndarray) -> np.ndarray:
    """(S, S) bool: pixels of the mask with one beside them that is not; the picture's edge is no
    outline."""
    inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    return mask & (inside == 0)


def depth(
    true: TrueClip, found_depth: np.ndarray, *, metres_from: str | None, inverse: bool
) -> dict[str, np.ndarray]:
    """found_depth: (T, S, S) float32 in the annotator's unit, smaller is nearer, NaN for none.

    metres_from: what its metres are measured from, "hips" or "camera"; None for another unit.
    inverse: whether it is inverse depth with its sign turned.

    Compared are the pixels of the subject's mask that have depth: `covered` of it, fewer than a
    tenth are `wrong`, none `missed`. In centimetres, means over these pixels, both depths about
    the true mid-hip: `error_cm`, of metres alone; `aligned_cm` after the scale and shift of each
    frame that fit best by least squares (of inverse depth, in inverse metres); `flat_cm` and
    `flat_aligned_cm` are the same of a flat mask, all at the mid-hip, and all at the mean.
    `flicker_cm`: the mean change of the error, of metres or else after scale and shift, since the
    frame before, of the pixels that are compared in both.
    """
    found = _empty(DEPTH_FIGURES, len(found_depth))
    before: np.ndarray | None = None  # (S, S) error in the frame before, in cm
    for t, estimate in enumerate(found_depth):
        inside = (true.masks[t, 0] > _PERSON) & np.isfinite(true.depth[t])
        if not true.counts(t) or not inside.any():
            before = None
            continue
        compared = inside & np.isfinite(estimate)
        found["covered"][t] = covered = compared.sum() / inside.sum()
        found["missed"][t] = not np.isfinite(estimate).any()
        if not found["missed"][t]:
            found["wrong"][t] = covered < _NOBODY
        if covered < _NOBODY:
            before = None
            continue
        hips = true.mid_hip(t)
        truth = true.depth[t][compared].astype(np.float64)
        guess = estimate[compared].astype(np.float64)
        aligned = _aligned(guess, truth, inverse=inverse)
        error = aligned
        if metres_from is not None:
            error = guess + (hips if metres_from == "hips" else 0.0)
            found["error_cm"][t] = 100 * np.abs(error - truth).mean()
        found["aligned_cm"][t] = 100 * np.abs(aligned - truth).mean()
        found["flat_cm"][t] = 100 * np.abs(truth - hips).mean()
        found["flat_aligned_cm"][t] = 100 * np.abs(truth - truth.mean()).mean()
        now = np.full(estimate.shape, np.nan)
        now[compared] = 100 * (error - truth)
        if before is not None:
            change = np.abs(now - before)
            if np.isfinite(change).any():
                found["flicker_cm"][t] = np.nanmean(change)
        before = now
    return found


def _aligned(guess: np.ndarray, truth: np.ndarray, *, inverse: bool) -> np.ndarray:
    """`guess` with the scale and shift that fit `truth` best by least squares, in metres."""
    wanted = -1 / truth if inverse else truth
    centred = guess - guess.mean()
    variance = float(centred @ centred)
    scale = float(centred @ (wanted - wanted.mean())) / variance if variance > 0 else 0.0
    fitted = wanted.mean() + scale * centred
    if inverse:
        # What a fit puts at infinity or behind the camera stays in sight of the others.
        return -1 / np.minimum(fitted, 0.1 * wanted.max())
    return fitted


def _longer_side(true: TrueClip, t: int) -> float:
    box = true.boxes[t]
    assert box is not None
    return max(box[2] - box[0], box[3] - box[1])


def _empty(names: tuple[str, ...], frames: int) -> dict[str, np.ndarray]:
    return {name: np.full(frames, np.nan) for name in names}
