"""How much moves: generated videos that are stuck, or that shake, move less or more than the truth.

The paper found its LDM3D "stuck" (sec. A), which no Frechet distance says.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

__all__ = ["amount_of_motion"]

_LEAST_SIDE = 128


def amount_of_motion(frames: np.ndarray) -> float:
    """Mean length of the optical flow between successive frames, in pixels of a height of 256.

    frames: (F, H, W, 3) uint8 RGB; 0 of one frame. Dense inverse search (Kroeger et al. 2016) on
    grey; flow rather than differences, so that noise and flicker do not pass for motion.
    """
    if len(frames) < 2:
        return 0.0
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [_at_least(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames]
    lengths = [
        np.linalg.norm(search.calc(first, second, None), axis=-1).mean(dtype=np.float64)
        for first, second in pairwise(grey)
    ]
    return float(np.mean(lengths) * 256 / grey[0].shape[0])


def _at_least(grey: np.ndarray) -> np.ndarray:
    """Enlarged where it is smaller than the patches of the coarsest scale allow."""
    scale = _LEAST_SIDE / min(grey.shape)
    return grey if scale <= 1 else cv2.resize(grey, None, fx=scale, fy=scale)
