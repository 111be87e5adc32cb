"""The body as a tree of bones, and joints made to agree with bones of constant length."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

__all__ = ["BONES", "JOINTS", "Bone", "bone_lengths", "constrain", "joints_from_blazepose"]

# Each joint is the mean of these BlazePose points. Means over the face and the hand are steadier
# than any one of their points.
_SOURCES: dict[str, tuple[int, ...]] = {
    "mid_hip": (23, 24),
    "left_hip": (23,),
    "right_hip": (24,),
    "left_knee": (25,),
    "right_knee": (26,),
    "left_ankle": (27,),
    "right_ankle": (28,),
    "left_heel": (29,),
    "right_heel": (30,),
    "left_toe": (31,),
    "right_toe": (32,),
    "neck": (11, 12),
    "left_shoulder": (11,),
    "right_shoulder": (12,),
    "left_elbow": (13,),
    "right_elbow": (14,),
    "left_wrist": (15,),
    "right_wrist": (16,),
    "left_hand": (17, 19),
    "right_hand": (18, 20),
    "head": (7, 8),
    "face": (0, 1, 2, 3, 4, 5, 6, 9, 10),
}
JOINTS = tuple(_SOURCES)


@dataclass(frozen=True)
class Bone:
    """A bone from `parent` to `child`, whose direction is that from `tail` to `child`.

    `tail` differs from `parent` for hips and shoulders alone: left and right lie on one line
    through their middle, which keeps the middle in the middle.
    """

    parent: int
    child: int
    tail: int


def _bone(parent: str, child: str, tail: str | None = None) -> Bone:
    return Bone(JOINTS.index(parent), JOINTS.index(child), JOINTS.index(tail or parent))


def _limbs(side: str, other: str) -> tuple[Bone, ...]:
    return (
        _bone("mid_hip", f"{side}_hip", f"{other}_hip"),
        _bone(f"{side}_hip", f"{side}_knee"),
        _bone(f"{side}_knee", f"{side}_ankle"),
        _bone(f"{side}_ankle", f"{side}_heel"),
        _bone(f"{side}_ankle", f"{side}_toe"),
        _bone("neck", f"{side}_shoulder", f"{other}_shoulder"),
        _bone(f"{side}_shoulder", f"{side}_elbow"),
        _bone(f"{side}_elbow", f"{side}_wrist"),
        _bone(f"{side}_wrist", f"{side}_hand"),
    )


# From the hips outwards: a bone's parent is always placed before its child.
BONES: tuple[Bone, ...] = (
    _bone("mid_hip", "neck"),
    _bone("neck", "head"),
    _bone("head", "face"),
    *chain.from_iterable(
        zip(_limbs("left", "right"), _limbs("right", "left"), strict=True)  # left, right, left, …
    ),
)
_PARENTS = np.array([bone.parent for bone in BONES])
_CHILDREN = np.array([bone.child for bone in BONES])

_SWEEPS = 8


def joints_from_blazepose(points: np.ndarray) -> np.ndarray:
    """(T, 33, ...) points, or their visibilities, to (T, len(JOINTS), ...) joints: means."""
    return np.stack([points[:, list(source)].mean(axis=1) for source in _SOURCES.values()], axis=1)


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """(T, len(JOINTS), 3) metres to (len(BONES),) metres: medians over time, left equal to right.

    The median forgives frames whose limbs are wrong; both sides of a body are taken as equal,
    which halves what noise adds.
    """
    lengths = np.median(np.linalg.norm(joints[:, _CHILDREN] - joints[:, _PARENTS], axis=2), axis=0)
    lengths[3:] = lengths[3:].reshape(-1, 2).mean(axis=1).repeat(2)
    return lengths


def constrain(joints: np.ndarray, weights: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Move joints as little as needed for every bone to have its length.

    joints: (T, len(JOINTS), 3) metres; weights: (T, len(JOINTS)) > 0, a joint of greater weight
    moves less; lengths: (len(BONES),) metres. Returns float64 of the joints' shape, the mid-hip
    at its place. A few sweeps share each bone's error between its two ends (position-based
    dynamics, Müller et al. 2007); a last pass from the hips outwards makes lengths exact.
    """
    x = joints.astype(np.float64)
    mobility = 1 / np.maximum(weights, 1e-3)
    for _ in range(_SWEEPS):
        for bone, length in zip(BONES, lengths, strict=True):
            span = x[:, bone.child] - x[:, bone.parent]
            norm = np.maximum(np.linalg.norm(span, axis=1), 1e-9)
            a, b = mobility[:, bone.parent], mobility[:, bone.child]
            pull = ((norm - length) / norm / (a + b))[:, None] * span
            x[:, bone.parent] += a[:, None] * pull
            x[:, bone.child] -= b[:, None] * pull
    exact = x.copy()
    for bone, length in zip(BONES, lengths, strict=True):
        span = x[:, bone.child] - x[:, bone.tail]
        norm = np.maximum(np.linalg.norm(span, axis=1, keepdims=True), 1e-9)
        exact[:, bone.child] = exact[:, bone.parent] + span / norm * length
    return exact - (exact[:, :1] - joints[:, :1])
