"""How many pixels a metre of the body takes: a robust fit of world to image landmarks."""

from __future__ import annotations

import numpy as np

__all__ = ["pixels_per_metre"]

# Reweighting settles to within a thousandth of the scale in this many rounds.
_ROUNDS = 6
# A residual of this share of the body's spread halves a point's weight: about twice a pose
# network's usual error, so that a swapped or invented limb hardly counts.
_OUTLIER = 0.12


def pixels_per_metre(pixels: np.ndarray, metres: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) float64: the scale which best maps `metres` to `pixels` up to a shift, in each frame.

    pixels: (T, J, 2); metres: (T, J, 2), x right and y down in both; weights: (T, J) >= 0.
    Weak perspective (one scale for the whole body) by least squares, reweighted so that a few
    points that are badly wrong do not matter (Cauchy's weights). A frame that fixes no positive
    scale (points all in one place, mirrored, or without weight) gets NaN.
    """
    trust = np.asarray(weights, dtype=np.float64)
    spread = np.sqrt((_centred(pixels, trust) ** 2).sum(axis=2).mean(axis=1))
    scale = _least_squares(pixels, metres, trust)
    for _ in range(_ROUNDS):
        error = _centred(pixels, trust) - scale[:, None, None] * _centred(metres, trust)
        distance = np.linalg.norm(error, axis=2) / np.maximum(_OUTLIER * spread, 1e-9)[:, None]
        trust = weights / (1 + distance**2)
        scale = _least_squares(pixels, metres, np.nan_to_num(trust))
    return np.where(scale > 0, scale, np.nan)


def _least_squares(pixels: np.ndarray, metres: np.ndarray, weights: np.ndarray) -> np.ndarray:
    p, m = _centred(pixels, weights), _centred(metres, weights)
    covariance = np.einsum("tj,tjd,tjd->t", weights, p, m)
    variance = np.einsum("tj,tjd,tjd->t", weights, m, m)
    # A weighted variance below a square centimetre is a body that has collapsed to a point.
    solid = variance > 1e-4 * weights.sum(axis=1)
    return np.where(solid, covariance / np.where(solid, variance, 1), np.nan)


def _centred(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.maximum(weights.sum(axis=1), 1e-12)
    mean = np.einsum("tj,tjd->td", weights, points) / total[:, None]
    return points - mean[:, None]
