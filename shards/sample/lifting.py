"""Depth of joints from where they are in the picture: which way a limb points.

One skeleton does not tell whether an arm points at the camera or away from it; how people hold
themselves and move does, mostly. A small network has learnt it from the joints of rendered people
(`preprocess.sources.people.lifting`), as others learnt it from people in laboratories (Martinez et
al., 2017; Pavllo et al., 2019). Here it runs in NumPy, on a few thousand numbers a clip. Ours; the
paper's model is given skeletons alone.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from shards.sample.clip import FOREGROUND_DEPTH_END
from shards.sample.keypoints import are_seen
from shards.sample.skeleton import MIN_SCORE

__all__ = [
    "HEADS",
    "LAYERS",
    "WEIGHTS",
    "WIDTH",
    "WINDOW",
    "lifted",
    "to_depth",
    "to_output",
    "told",
]

WEIGHTS = Path(__file__).with_name("lifting.npz")
WIDTH, HEADS, LAYERS = 128, 4, 4
WINDOW = 8  # frames that are looked at together
EPS = 1e-5  # of the norms
_JOINTS = 18
_AT_ONCE = 64  # windows: what a long video takes in memory
_MIDDLE, _DEVIATION = FOREGROUND_DEPTH_END / 2, FOREGROUND_DEPTH_END / 4


def lifted(poses: np.ndarray, *, min_score: float = MIN_SCORE) -> np.ndarray:
    """(T, 18) float32 in [0, .75]: depths of joints in the range of the person's.

    Args:
        poses: (T, 18, 3), of `COCO_18`: x, y in pixels of any picture, and a score.
        min_score: joints below this are not known, and are guessed from the others.

    They are of the bones, inside the body. Where nothing is known in all of a video, they are in
    the middle of the range.
    """
    known = are_seen(poses, min_score)
    if not known.any():
        return np.full(poses.shape[:2], _MIDDLE, np.float32)
    count = len(poses)
    length = min(count, WINDOW)
    starts = range(count - length + 1)
    windows = np.stack([np.arange(start, start + length) for start in starts])
    total, times = np.zeros((count, _JOINTS), np.float32), np.zeros((count, 1), np.float32)
    for first in range(0, len(windows), _AT_ONCE):
        several = windows[first : first + _AT_ONCE]
        found = _network(told(poses[several, :, :2], known[several]))
        for window, depths in zip(several, found, strict=True):
            total[window] += depths
            times[window] += 1
    return np.clip(total / times, 0, FOREGROUND_DEPTH_END)


def told(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What the network is told, (N, T, 90) float32: places of joints and their moves.

    Args:
        places: (N, T, 18, 2), in any unit.
        known: (N, T, 18) bool.

    Places are from the middle of all known joints of a window in their mean distance from it, so
    that neither the picture's size nor where somebody stands in it counts.
    """
    there = known[..., None].astype(np.float32)
    places = np.where(known[..., None], places, 0).astype(np.float32)
    count = np.maximum(there.sum((1, 2), keepdims=True), 1)
    middle = places.sum((1, 2), keepdims=True) / count
    away = (places - middle) * there
    size = np.sqrt((away**2).sum((1, 2, 3), keepdims=True) / count)
    away /= np.maximum(size, 1e-6)
    moves = np.zeros_like(away)
    moves[:, :-1] = (away[:, 1:] - away[:, :-1]) * there[:, 1:] * there[:, :-1]
    flat = (*places.shape[:2], -1)
    parts = (away.reshape(flat), 3 * moves.reshape(flat), there.reshape(flat))
    return np.concatenate(parts, axis=-1)


def to_depth(output: np.ndarray) -> np.ndarray:
    """The network's numbers, of about unit variance, as depths of a person's range."""
    return _MIDDLE + output * _DEVIATION


def to_output(depth: np.ndarray) -> np.ndarray:
    """What the network should say of such depths."""
    return (depth - _MIDDLE) / _DEVIATION


def _network(told_NTD: np.ndarray) -> np.ndarray:
    """(N, T, 18) depths: a transformer over a window's frames, without places in time, since moves
    tell them."""
    weights = _weights()

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    hidden = linear(told_NTD, "enter")
    for number in range(LAYERS):
        layer = f"layers.{number}"
        parts = linear(norm(hidden, f"{layer}.attention_norm"), f"{layer}.qkv")
        shape = (*parts.shape[:2], 3, HEADS, WIDTH // HEADS)
        query, key, value = np.moveaxis(parts.reshape(shape), (2, 3), (0, 2))
        scores = query @ np.swapaxes(key, -1, -2) * (WIDTH // HEADS) ** -0.5
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ value
        mixed = np.swapaxes(mixed, 1, 2).reshape(hidden.shape)
        hidden = hidden + linear(mixed, f"{layer}.mixed")
        wide = linear(norm(hidden, f"{layer}.norm"), f"{layer}.wide")
        hidden = hidden + linear(wide / (1 + np.exp(-wide)), f"{layer}.narrow")
    return to_depth(linear(norm(hidden, "norm"), "leave"))


@lru_cache(maxsize=1)
def _weights() -> dict[str, np.ndarray]:
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
