"""Retargeting: the driving skeleton on the person's body, in their place, feet on the ground.

All of it happens in the picture. How long the person's bones are against the driver's is read off
where both hold themselves alike: there a bone is foreshortened alike in both, so that the ratio of
what is seen is the ratio of what is. Where they never hold themselves alike, a bone's ratio tends
to that of the whole body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from idol.generate.errors import CannotRetargetError
from shards.sample.keypoints import COCO_18, OPENPOSE_134, are_seen
from shards.sample.skeleton import MIN_SCORE

__all__ = ["BODY", "RetargetMethod", "Retargeted", "body_size", "retarget", "seen_body"]

RetargetMethod = Literal["none", "similarity", "proportions"]

BODY = len(COCO_18)
_NECK, _NOSE = COCO_18.indices("neck", "nose")
_HIPS = COCO_18.indices("right_hip", "left_hip")
_ANKLES = COCO_18.indices("right_ankle", "left_ankle")
_MIDDLE = BODY  # of the hips: a joint of our own, after COCO_18's

# Groups of bones that are as long on both sides of a body: parent and child of each, and the
# length of a grown-up's in torsos.
_GROUPS: dict[str, tuple[float, tuple[tuple[str, str], ...]]] = {
    "shoulders": (0.35, (("neck", "right_shoulder"), ("neck", "left_shoulder"))),
    "upper arms": (
        0.6,
        (("right_shoulder", "right_elbow"), ("left_shoulder", "left_elbow")),
    ),
    "forearms": (0.55, (("right_elbow", "right_wrist"), ("left_elbow", "left_wrist"))),
    "torso": (1.0, (("neck", "middle"),)),
    "hips": (0.2, (("middle", "right_hip"), ("middle", "left_hip"))),
    "thighs": (0.85, (("right_hip", "right_knee"), ("left_hip", "left_knee"))),
    "shins": (0.8, (("right_knee", "right_ankle"), ("left_knee", "left_ankle"))),
    "head": (0.5, (("neck", "nose"),)),
    "face": (
        0.12,
        (
            ("nose", "right_eye"),
            ("nose", "left_eye"),
            ("right_eye", "right_ear"),
            ("left_eye", "left_ear"),
        ),
    ),
}
_NAMES = (*COCO_18.joints, "middle")
_TYPICAL = {name: length for name, (length, _) in _GROUPS.items()}
# (group, parent, child), a parent before its children.
_BONES = tuple(
    (group, _NAMES.index(parent), _NAMES.index(child))
    for group in (
        *("torso", "hips", "thighs", "shins", "shoulders", "upper arms", "forearms"),
        *("head", "face"),
    )
    for parent, child in _GROUPS[group][1]
)
_PARENT = {child: (parent, group) for group, parent, child in _BONES}

# What hangs on a joint of the body, and is as large as a group's bones say.
_HANGS_ON = {
    "nose": ("face", [i for i, j in enumerate(OPENPOSE_134.joints) if j.startswith("face_")]),
    **{
        f"{side}_{joint}": (
            group,
            [
                i
                for i, name in enumerate(OPENPOSE_134.joints)
                if name.startswith(f"{side}_") and any(part in name for part in parts)
            ],
        )
        for side in ("left", "right")
        for joint, group, parts in (
            ("wrist", "forearms", ("_hand_",)),
            ("ankle", "shins", ("toe", "heel")),
        )
    },
}

_MOST = 160  # frames of a motion, and _PHOTOS of a person, that are compared with each other
_PHOTOS = 16
_ALIKE = 0.01  # body sizes by which joints are apart in poses that are alike
_LOOSE = 2.0  # times that, where no better pose is found
_TURNED = 0.3  # radians by which a bone's direction may differ to be compared
_PROPORTIONS = 0.07  # by which people's bones differ from their size: a deviation of logarithms
_UNSURE = 0.015  # of a ratio, where poses are the same
_NEARER = 0.1  # of its logarithm, by which a size must change to be a way toward the camera
_LIFTED = 0.12  # the same, where it matters less which of them stands than where both are
_BOTH_FEET = 0.02  # body sizes of height within which both feet stand


@dataclass(frozen=True, eq=False)
class Retargeted:
    """A motion on the person: `keypoints` (F, J, 3) in pixels of the person's picture.

    `scale` of the whole body against the driver's; `ratios` of its bones, by group; `alike` how
    far the most similar pose of both differs, in body sizes a joint.
    """

    keypoints: np.ndarray
    scale: float
    ratios: dict[str, float]
    alike: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "scale": round(self.scale, 4),
            "ratios": {name: round(ratio, 4) for name, ratio in self.ratios.items()},
            "closest_pose": None if self.alike is None else round(self.alike, 4),
        }


def retarget(
    driving: np.ndarray,
    person: np.ndarray,
    method: RetargetMethod,
    *,
    fit: tuple[float, float, float] = (1.0, 0.0, 0.0),
    min_score: float = MIN_SCORE,
) -> Retargeted:
    """Move a motion to a person.

    Args:
        driving: (F, 134, 3) x, y in pixels and scores; joints below `min_score` are not seen.
        person: (N, 134, 3) the person in one or several poses, in pixels of the picture that the
            result is for; not needed for "none".
        method: none moves nothing but by `fit`; similarity scales and shifts the whole; with
            proportions each bone is as long as the person's.
        fit: scale, then shift in x and y, from the driving picture to the person's, where nothing
            is retargeted.

    Raises:
        CannotRetargetError: so little is seen of one of the two that no bone can be compared.
    """
    if method == "none":
        scale, x, y = fit
        moved = driving.astype(np.float64)
        moved[..., :2] = moved[..., :2] * scale + (x, y)
        return Retargeted(moved.astype(np.float32), scale, {})
    drawn, known = _joints(driving, min_score)
    own, own_known = _joints(person, min_score)
    frames, photos = _spread(len(drawn), _MOST), _spread(len(own), _PHOTOS)
    pairs = _Pairs.of(drawn[frames], known[frames], own[photos], own_known[photos])
    scale, ratios = _lengths(pairs, _nearness(drawn, known)[frames])
    there, here = _anchor(drawn, known, own, own_known)
    if method == "similarity":
        moved = driving.astype(np.float64)
        moved[..., :2] = here + scale * (moved[..., :2] - there)
        return Retargeted(moved.astype(np.float32), scale, {}, pairs.alike)
    moved = _rebuilt(driving.astype(np.float64), drawn, known, ratios, scale)
    body, _ = _joints(moved, min_score)
    shift = _standing(drawn, known, body, there, here, scale)
    moved[..., :2] += shift[:, None]
    return Retargeted(moved.astype(np.float32), scale, ratios, pairs.alike)


def seen_body(points: np.ndarray, min_score: float = MIN_SCORE) -> np.ndarray:
    """(..., 18) bool: joints of the body that are seen, of (..., J, 3)."""
    return are_seen(points[..., :BODY, :], min_score)


def body_size(points: np.ndarray, min_score: float = MIN_SCORE) -> np.ndarray:
    """(F,) pixels of (F, J, 3): the longer side of the box around the seen joints of the body; NaN
    where fewer than two are seen."""
    seen = seen_body(points, min_score)
    xy = points[..., :BODY, :2].astype(np.float64)
    low = np.where(seen[..., None], xy, np.inf).min(-2)
    high = np.where(seen[..., None], xy, -np.inf).max(-2)
    with np.errstate(invalid="ignore"):
        size = (high - low).max(-1)
    return np.where(seen.sum(-1) >= 2, np.maximum(size, 1.0), np.nan)


def _spread(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _joints(points: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
    """(F, 19, 2) float64 joints of the body and the middle of the hips, and (F, 19) whether they
    are seen; what is not is 0."""
    seen = seen_body(points, min_score)
    xy = np.where(seen[..., None], points[..., :BODY, :2], 0).astype(np.float64)
    middle = xy[:, _HIPS].mean(1, keepdims=True)
    both = np.all(seen[:, _HIPS], axis=1, keepdims=True)
    middle = np.where(both[..., None], middle, 0)
    return np.concatenate([xy, middle], 1), np.concatenate([seen, both], 1)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Poses of the driver (F, 19, 2) and of the person (N, 19, 2), and how alike they are.

    `weights` (F, N) of each pair, the more alike the more, 1 in sum; `alike` of the closest pair.
    """

    drawn: np.ndarray
    known: np.ndarray
    own: np.ndarray
    own_known: np.ndarray
    weights: np.ndarray
    alike: float

    @staticmethod
    def of(drawn: np.ndarray, known: np.ndarray, own: np.ndarray, own_known: np.ndarray) -> _Pairs:
        shared = known[:, None] & own_known[None]  # (F, N, 19)
        count = shared.sum(-1)
        if not (count >= 3).any():
            raise CannotRetargetError(
                "the person and the motion show no three joints of the body in common: there is "
                "nothing to compare; use --retarget none"
            )
        weight = shared[..., None] / np.maximum(count, 1)[..., None, None]
        a = np.broadcast_to(drawn[:, None], (*shared.shape, 2))
        b = np.broadcast_to(own[None], (*shared.shape, 2))
        a = a - (a * weight).sum(2, keepdims=True)
        b = b - (b * weight).sum(2, keepdims=True)
        power = (a * a * weight).sum((2, 3))
        scale = (a * b * weight).sum((2, 3)) / np.maximum(power, 1e-9)
        rest = ((b - scale[..., None, None] * a) ** 2 * weight).sum((2, 3))
        size = np.sqrt((b * b * weight).sum((2, 3)))
        apart = np.sqrt(rest) / np.maximum(2.5 * size, 1e-9)
        # Few joints in common agree by chance.
        apart = apart + 0.5 / np.maximum(count, 1) ** 2
        apart = np.where((count >= 3) & (scale > 0), apart, np.inf)
        best = float(apart.min())
        if not np.isfinite(best):
            raise CannotRetargetError(
                "the person is never seen in a pose that the motion has, not even roughly: they "
                "lie, or stand on their head; use --retarget none"
            )
        width = max(_ALIKE, best)
        alike = np.exp(-0.5 * ((apart**2 - best**2) / width**2))
        return _Pairs(drawn, known, own, own_known, alike / alike.sum(), best)


def _lengths(pairs: _Pairs, nearness: np.ndarray) -> tuple[float, dict[str, float]]:
    """How large the person is against the driver in the first frame, and how long each group of
    bones; `nearness` (F,) is how large the driver is in each frame against that one."""
    logs: dict[str, list[np.ndarray]] = {}
    weights: dict[str, list[np.ndarray]] = {}
    for group, parent, child in _BONES:
        a = pairs.drawn[:, child] - pairs.drawn[:, parent]
        b = pairs.own[:, child] - pairs.own[:, parent]
        la, lb = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
        good = (pairs.known[:, child] & pairs.known[:, parent] & (la > 1e-6))[:, None]
        good = good & (pairs.own_known[:, child] & pairs.own_known[:, parent] & (lb > 1e-6))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(lb[None] / la[:, None] * nearness[:, None])
            cos = (a @ b.T) / (la[:, None] * lb)
        turned = np.arccos(np.clip(np.where(good, cos, 0), -1, 1))
        weight = pairs.weights * np.exp(-0.5 * (turned / _TURNED) ** 2) * good
        logs.setdefault(group, []).append(np.where(good, ratio, 0).ravel())
        weights.setdefault(group, []).append(weight.ravel())
    means, spreads, sums = {}, {}, {}
    for group in logs:
        y, w = np.concatenate(logs[group]), np.concatenate(weights[group])
        total = w.sum()
        if total > 1e-12:
            means[group] = float((y * w).sum() / total)
            spreads[group] = float(((y - means[group]) ** 2 * w).sum() / total)
            sums[group] = float(min(total, 1.0))
    if not means:
        raise CannotRetargetError(
            "no bone of the person is seen that the motion shows as well: there is nothing to "
            "compare; use --retarget none"
        )
    # How unsure a group's ratio is: by its scatter, and by how far the poses are from alike.
    unsure = {
        g: spreads[g] + (_UNSURE + 0.7 * pairs.alike) ** 2 / max(sums[g], 1e-3) for g in means
    }
    trust = {g: _TYPICAL[g] / (unsure[g] + _PROPORTIONS**2) for g in means}
    size = sum(means[g] * trust[g] for g in means) / sum(trust.values())
    ratios = {}
    for group in _GROUPS:
        if group in means:
            share = _PROPORTIONS**2 / (_PROPORTIONS**2 + unsure[group])
            ratios[group] = float(np.exp(size + share * (means[group] - size)))
        else:
            ratios[group] = float(np.exp(size))
    return float(np.exp(size)), ratios


def _anchor(
    drawn: np.ndarray, known: np.ndarray, own: np.ndarray, own_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A place of the driver, (2,) in its picture, and where that is of the person: the motion
    begins where the person is. Of the feet, else of the hips, else of the neck, else of all that is
    seen, in the first frames that show it."""
    for joints in (_ANKLES, [_MIDDLE], [_NECK], list(range(BODY))):
        least = 1 if len(joints) == BODY else len(joints)
        a = np.flatnonzero(known[:, joints].sum(1) >= least)
        b = np.flatnonzero(own_known[:, joints].sum(1) >= least)
        if len(a) and len(b):
            return _mean(drawn, known, a[0], joints), _mean(own, own_known, b[0], joints)
    raise AssertionError("no pair was alike, and there is no such motion")


def _mean(xy: np.ndarray, known: np.ndarray, frame: int, joints: list[int]) -> np.ndarray:
    """(2,) of the joints that are known: of feet, one that is lifted counts less."""
    here = slice(frame, frame + 1)
    weight = known[frame, joints].astype(np.float64)
    if joints == _ANKLES:
        size = _sizes(xy[here], known[here])
        weight = _foot_weights(xy[here], known[here], size, _LIFTED)[0]
    there: np.ndarray = weight @ xy[frame, joints] / weight.sum()
    return there


def _nearness(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(F,) how large the driver is in each frame against the first, by how near the camera is.

    A bone can only be foreshortened, so those count that are longest against what they ever are;
    what passes quickly is no step toward the camera, and little of it no step at all.
    """
    lengths, there = [], []
    for _, parent, child in _BONES:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        valid = known[:, child] & known[:, parent]
        if valid.any():
            lengths.append(length / max(float(np.quantile(length[valid], 0.9)), 1e-6))
            there.append(valid)
    if not lengths:
        return np.ones(len(joints))
    each = np.where(np.stack(there), np.stack(lengths), np.nan)
    usable = np.flatnonzero(np.isfinite(each).sum(0) >= 3)
    if len(usable) < 2:
        return np.ones(len(joints))
    size = np.nanquantile(each[:, usable], 0.75, axis=0)
    reach = max(1, len(usable) // 12)
    padded = np.pad(size, reach, mode="edge")
    size = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=-1)
    size = np.interp(np.arange(len(joints)), usable, size)
    size = size / size[0]
    return size if np.ptp(np.log(size)) > _NEARER else np.ones(len(joints))


def _sizes(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(F,) the longer side of the box around what is known; 1 where nothing is."""
    low = np.where(known[..., None], joints, np.inf).min(1)
    high = np.where(known[..., None], joints, -np.inf).max(1)
    return np.where(np.any(known, axis=1), np.maximum((high - low).max(-1), 1.0), 1.0)


def _foot_weights(
    joints: np.ndarray, known: np.ndarray, size: np.ndarray, within: float = _BOTH_FEET
) -> np.ndarray:
    """(F, 2) how much each ankle is the one stood on; 0 where it is not seen."""
    seen = known[:, _ANKLES]
    height = np.where(seen, joints[:, _ANKLES, 1], -np.inf)
    lowest = np.where(np.any(seen, axis=1), height.max(1), 0)
    above = np.where(seen, (lowest[:, None] - np.where(seen, height, 0)) / size[:, None], np.inf)
    weight = np.exp(-above / within)
    return weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)


def _rebuilt(
    points: np.ndarray,
    joints: np.ndarray,
    known: np.ndarray,
    ratios: dict[str, float],
    scale: float,
) -> np.ndarray:
    """The motion with the person's bones, (F, J, 3), each frame's first joint in its old place.

    A joint whose parent is not seen hangs on the nearest ancestor that is.
    """
    moved = points.copy()
    frames = len(joints)
    placed = joints.copy()
    # Which joint a frame is built from: the neck, or the nearest to it that is seen.
    order = [_NECK, _MIDDLE, *(j for j in range(BODY) if j != _NECK)]
    root = np.full(frames, -1)
    for joint in reversed(order):
        root = np.where(known[:, joint], joint, root)
    at = np.arange(frames)
    origin = np.where((root >= 0)[:, None], joints[at, root], 0)
    for _, _, child in _BONES:
        base, base_placed = origin, np.where((root >= 0)[:, None], placed[at, root], 0)
        ratio = np.full(frames, scale)
        found = np.zeros(frames, bool)
        path: list[str] = []
        joint = child
        while joint in _PARENT:
            joint, group = _PARENT[joint]
            path.append(group)
            lengths = np.array([_TYPICAL[g] for g in path])
            mean = float(lengths @ [ratios[g] for g in path] / lengths.sum())
            here = known[:, joint] & ~found
            base = np.where(here[:, None], joints[:, joint], base)
            base_placed = np.where(here[:, None], placed[:, joint], base_placed)
            ratio = np.where(here, mean, ratio)
            found |= here
        new = base_placed + ratio[:, None] * (joints[:, child] - base)
        is_root = np.equal(root, child)
        placed[:, child] = np.where(is_root[:, None], joints[:, child], new)
    moved[:, :BODY, :2] = np.where(known[:, :BODY, None], placed[:, :BODY], points[:, :BODY, :2])
    for name, (group, hanging) in _HANGS_ON.items():
        joint = COCO_18.joints.index(name)
        hanging = [i for i in hanging if i < points.shape[1]]
        there = points[:, hanging, :2]
        base = np.where(known[:, joint, None], joints[:, joint], origin)[:, None]
        new = np.where(known[:, joint, None], placed[:, joint], origin)[:, None]
        factor = np.where(known[:, joint], ratios[group], scale)[:, None, None]
        moved[:, hanging, :2] = new + factor * (there - base)
    return moved


def _standing(
    drawn: np.ndarray,
    known: np.ndarray,
    body: np.ndarray,
    there: np.ndarray,
    here: np.ndarray,
    scale: float,
) -> np.ndarray:
    """(F, 2) by which each frame of the rebuilt `body` is shifted, so that the foot that is stood
    on comes where the driver's does, at the person's scale; frames without feet go by the hips or
    the neck, corrected as the frames before and after them are."""
    size = _sizes(drawn, known)
    weight = _foot_weights(drawn, known, size)
    shifts, seen = [], []
    for at, of, valid in (
        (
            (drawn[:, _ANKLES] * weight[..., None]).sum(1),
            (body[:, _ANKLES] * weight[..., None]).sum(1),
            np.any(known[:, _ANKLES], axis=1),
        ),
        (drawn[:, _MIDDLE], body[:, _MIDDLE], known[:, _MIDDLE]),
        (drawn[:, _NECK], body[:, _NECK], known[:, _NECK]),
    ):
        shifts.append(here + scale * (at - there) - of)
        seen.append(valid)
    centre = (drawn * known[..., None]).sum(1) / known.sum(1)[:, None].clip(1)
    centre_of = (body * known[..., None]).sum(1) / known.sum(1)[:, None].clip(1)
    shifts.append(here + scale * (centre - there) - centre_of)
    seen.append(np.any(known, axis=1))
    result, valid = shifts[0], seen[0]
    for other, valid_other in zip(shifts[1:], seen[1:], strict=True):
        need = ~valid & valid_other
        if need.any():
            both = np.flatnonzero(valid & valid_other)
            correction = np.zeros_like(result)
            if len(both):
                difference = (result - other)[both]
                for axis in (0, 1):
                    correction[:, axis] = np.interp(
                        np.arange(len(result)), both, difference[:, axis]
                    )
            result = np.where(need[:, None], other + correction, result)
            valid = valid | need
    return np.where(valid[:, None], result, 0)
