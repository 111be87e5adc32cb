"""Temporal smoothing of keypoints: the one-euro filter, run without lag."""

import numpy as np

__all__ = ["one_euro"]


def one_euro(
    points: np.ndarray,
    fps: float,
    *,
    min_cutoff: float = 1.0,
    beta: float = 7.0,
    derivative_cutoff: float = 6.0,
    min_score: float = 0.1,
) -> np.ndarray:
    """Smooth joints over time: strongly at rest, hardly in fast motion (Casiez et al., CHI 2012).

    points: (frames, people, joints, 3) of x, y, score; fps: frames per second (> 0). Cut-off
    frequencies are in Hz; `beta` is in Hz per body height per second, so neither the image's
    nor the person's size matters. The filter runs forwards and backwards and the two are
    averaged: recorded clips need no real-time filter, and so the skeleton does not trail behind
    the image. A joint scored below `min_score` is left as it is and restarts the filter.
    Returns a new array; scores are unchanged. Raises ValueError for fps <= 0.
    """
    if not fps > 0:
        raise ValueError(f"one-euro smoothing needs a frame rate above 0, not {fps}")
    seen = points[..., 2] >= min_score
    size = _body_size(points, seen)
    xy = points[..., :2].astype(np.float64) / size
    settings = (fps, min_cutoff, beta, derivative_cutoff)
    forward = _filter(xy, seen, *settings)
    backward = _filter(xy[::-1], seen[::-1], *settings)[::-1]
    smoothed = points.copy()
    smoothed[..., :2] = np.where(seen[..., None], (forward + backward) / 2 * size, points[..., :2])
    return smoothed


def _body_size(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(1, people, 1, 1) pixels: the median over frames of the seen joints' extent."""
    low = np.where(seen[..., None], points[..., :2], np.inf).min(2)
    high = np.where(seen[..., None], points[..., :2], -np.inf).max(2)
    extent = np.where(seen.any(2), np.max(high - low, axis=-1, initial=0.0), np.nan)  # (T, P)
    size = np.ones(points.shape[1])
    for person in range(points.shape[1]):
        known = extent[~np.isnan(extent[:, person]), person]
        if len(known):
            size[person] = max(float(np.median(known)), 1.0)
    return size[None, :, None, None]


def _filter(
    xy: np.ndarray,
    seen: np.ndarray,
    fps: float,
    min_cutoff: float,
    beta: float,
    derivative_cutoff: float,
) -> np.ndarray:
    out = xy.copy()
    velocity = np.zeros(xy.shape[1:])
    for t in range(1, len(xy)):
        known = (seen[t] & seen[t - 1])[..., None]
        measured = (xy[t] - out[t - 1]) * fps
        blend = _smoothing_factor(derivative_cutoff, fps)
        velocity = np.where(known, velocity + blend * (measured - velocity), 0)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        blend = _smoothing_factor(min_cutoff + beta * speed, fps)
        out[t] = np.where(known, out[t - 1] + blend * (xy[t] - out[t - 1]), xy[t])
    return out


def _smoothing_factor(cutoff: float | np.ndarray, fps: float) -> float | np.ndarray:
    rate = 2 * np.pi * cutoff / fps
    return rate / (rate + 1)
