"""The front surface of a body made of tapered capsules, seen along z (orthographic)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Capsules", "front_surface"]

# The most a radius may change per unit of length as seen; at 1 one end hides the other's outline.
_STEEPEST = np.float32(0.9)


@dataclass(frozen=True, eq=False)
class Capsules:
    """K balls swept along straight axes while their radius changes; all in pixels.

    `start`, `end`               (K, 3) float: x right, y down, z away from the camera.
    `start_radius`, `end_radius` (K,) float > 0.
    """

    start: np.ndarray
    end: np.ndarray
    start_radius: np.ndarray
    end_radius: np.ndarray


def front_surface(capsules: Capsules, height: int, width: int) -> np.ndarray:
    """(height, width) float32: z in pixels of the nearest surface, inf where there is none."""
    surface = np.full((height, width), np.inf, dtype=np.float32)
    low = np.minimum(
        capsules.start[:, :2] - capsules.start_radius[:, None],
        capsules.end[:, :2] - capsules.end_radius[:, None],
    )
    high = np.maximum(
        capsules.start[:, :2] + capsules.start_radius[:, None],
        capsules.end[:, :2] + capsules.end_radius[:, None],
    )
    first = np.clip(np.floor(low), 0, [width, height]).astype(int)
    last = np.clip(np.ceil(high) + 1, 0, [width, height]).astype(int)
    for k, ((x0, y0), (x1, y1)) in enumerate(zip(first, last, strict=True)):
        if x0 < x1 and y0 < y1:
            window = surface[y0:y1, x0:x1]
            front = _front(
                np.arange(x0, x1, dtype=np.float32)[None, :],
                np.arange(y0, y1, dtype=np.float32)[:, None],
                capsules.start[k],
                capsules.end[k],
                capsules.start_radius[k],
                capsules.end_radius[k],
            )
            np.minimum(window, front, out=window)
    return surface


def _front(
    x: np.ndarray, y: np.ndarray, start: np.ndarray, end: np.ndarray, r0: float, r1: float
) -> np.ndarray:
    """The front of one capsule on a grid, inf beside it.

    Let u run along the axis's shadow of length l and v across it, let the axis gain dz in depth
    and its radius c, and a = l^2 - c^2. At a pixel, the ball at t rises above its centre by
    sqrt(h(t)) with h(t) = (r0 + c t)^2 - v^2 - (u - t l)^2, which has its summit H at
    s = (r0 c + u l) / a. The front z0 + t dz - sqrt(h(t)) is convex in t, and least at
    s - dz sqrt(H / (a (a + dz^2))).
    """
    dx, dy, dz = (np.float32(d) for d in end - start)
    length = max(np.hypot(dx, dy), np.float32(1e-3))
    taper = np.float32(r1 - r0)
    if abs(taper) > _STEEPEST * length:
        # It points at the camera to within a few degrees, and one end's ball hides the other's
        # outline (a <= 0): taper less around the same mean radius.
        gentle = np.copysign(_STEEPEST * length, taper)
        r0, taper = r0 + (taper - gentle) / 2, gentle
    first = np.float32(r0)

    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    u = (x * dx + y * dy) / length
    rest = np.square(first) - x * x - y * y  # h(0)
    a = length**2 - taper**2
    summit = (first * taper + u * length) / a
    height = np.maximum(rest + a * np.square(summit), 0)
    t = np.clip(summit - dz * np.sqrt(height / (a * (a + dz**2))), 0, 1)
    rise = rest + t * a * (2 * summit - t)
    z = np.float32(start[2]) + t * dz - np.sqrt(np.maximum(rise, 0))
    return np.where(rise >= 0, z, np.float32(np.inf))
