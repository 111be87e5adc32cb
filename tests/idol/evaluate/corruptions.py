"""What may be wrong with a video, from hardly to badly: clips to which distances must grow.

Each takes (T, H, W, 3) uint8 frames and a strength from 0, nothing, to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def crop(clip: np.ndarray, strength: float) -> np.ndarray:
    """The middle, enlarged: up to three times."""
    size = clip.shape[1]
    cut = int(size * strength / 3)
    inner = clip[:, cut : size - cut, cut : size - cut]
    return np.stack([cv2.resize(frame, (size, size)) for frame in inner])


def blur(clip: np.ndarray, strength: float) -> np.ndarray:
    """A Gaussian of up to 8 pixels."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 8 * strength) for frame in clip])


def noise(clip: np.ndarray, strength: float) -> np.ndarray:
    """Of up to 60 grey levels."""
    rng = np.random.default_rng(0)
    return np.clip(clip + rng.normal(0, 60 * strength, clip.shape), 0, 255).astype(np.uint8)


def dropped(clip: np.ndarray, strength: float) -> np.ndarray:
    """Frames that are black, up to all but one."""
    black = clip.copy()
    black[np.random.default_rng(1).permutation(len(clip))[: round(strength * (len(clip) - 1))]] = 0
    return black


def frozen(clip: np.ndarray, strength: float) -> np.ndarray:
    """The video stops: at most, the first frame is shown throughout."""
    last = len(clip) - 1 - round(strength * (len(clip) - 1))
    return clip[np.minimum(np.arange(len(clip)), last)]


def shuffled(clip: np.ndarray, strength: float) -> np.ndarray:
    """Frames change places: those at most so far apart, at most the length of the clip; in each
    clip others."""
    rng = np.random.default_rng(int(clip.sum(dtype=np.int64)))
    return clip[np.argsort(np.arange(len(clip)) + strength * len(clip) * rng.random(len(clip)))]


CORRUPTIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "crop": crop,
    "blur": blur,
    "noise": noise,
    "dropped": dropped,
    "frozen": frozen,
    "shuffled": shuffled,
}
