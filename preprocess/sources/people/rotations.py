"""Rotations of many things at once: (..., 3, 3) float64, angles in radians."""

import numpy as np

__all__ = ["about", "dot", "frame", "unit", "yaw"]


def unit(v: np.ndarray) -> np.ndarray:
    """`v` (..., 3) with length 1."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of vectors (..., 3), with the last axis kept."""
    return (a * b).sum(-1, keepdims=True)


def about(axis: np.ndarray | str, angle: np.ndarray | float) -> np.ndarray:
    """Rotations about a unit vector (..., 3) or one of "xyz", by an angle (...)."""
    n = np.eye(3)["xyz".index(axis)] if isinstance(axis, str) else np.asarray(axis, np.float64)
    angle = np.asarray(angle, np.float64)
    n, angle = np.broadcast_arrays(n, angle[..., None])
    angle = angle[..., :1, None]
    k = np.zeros((*n.shape, 3))
    k[..., 0, 1], k[..., 0, 2] = -n[..., 2], n[..., 1]
    k[..., 1, 0], k[..., 1, 2] = n[..., 2], -n[..., 0]
    k[..., 2, 0], k[..., 2, 1] = -n[..., 1], n[..., 0]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def yaw(angle: np.ndarray | float) -> np.ndarray:
    """About the vertical."""
    return about("z", angle)


def frame(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Columns: unit vector `along`, the part of `across` that is normal to it, their product."""
    x = unit(along)
    y = unit(across - dot(across, x) * x)
    return np.stack([x, y, np.cross(x, y)], axis=-1)
