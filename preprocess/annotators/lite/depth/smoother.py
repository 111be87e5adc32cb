"""Smoothing recorded signals without lag: penalised least squares (Whittaker, 1922)."""

from __future__ import annotations

import numpy as np

__all__ = ["smooth"]


def smooth(values: np.ndarray, weights: np.ndarray, fps: float, cutoff_hz: float) -> np.ndarray:
    """Smooth each column of `values` over its first axis.

    values: (T, N, ...) float; weights: (T, N) >= 0, how far to trust each sample of each column;
    fps: frames per second (> 0); cutoff_hz: half of a motion at this frequency is kept (> 0).
    Returns float64 of the shape of `values`: with W the weights over their mean, the x that has
    the least

        sum_t W_t (x_t - values_t)^2 + (fps / (2 pi cutoff_hz))^4 sum_t (x_t-1 - 2 x_t + x_t+1)^2

    A steady motion passes unchanged to the very ends of the clip, where a running mean would
    shorten it. Frames seconds apart are hardly touched. Fewer than three are returned as they are.
    """
    frames, columns = weights.shape
    if frames < 3:
        return np.array(values, dtype=np.float64)
    flat = np.asarray(values, dtype=np.float64).reshape(frames, columns, -1)
    bend = np.diff(np.eye(frames), n=2, axis=0)  # (T - 2, T): second differences
    stiffness = (fps / (2 * np.pi * cutoff_hz)) ** 4 * (bend.T @ bend)
    # The floor keeps the system regular where a column is trusted in fewer than two frames.
    trust = weights / np.maximum(weights.mean(axis=0), 1e-9) + 1e-6
    system = trust.T[:, :, None] * np.eye(frames) + stiffness  # (N, T, T)
    solved = np.linalg.solve(system, (trust[:, :, None] * flat).transpose(1, 0, 2))
    return solved.transpose(1, 0, 2).reshape(values.shape)
