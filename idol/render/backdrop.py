"""The layer behind the person: the place, going on beyond the picture, with its depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from idol.render.nearest import nearest
from idol.render.place import Place

__all__ = ["Backdrop", "backdrop_of"]

_NODES = 64  # of the place's depth, along the longer side


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The place behind the person; it goes on beyond the picture.

    `picture`   (H, W, 3) uint8 RGB.
    `opacity`   (H, W) uint8: 255, and towards its borders, which no frame shows, down to 0.
    `invented`  (H, W) bool: inpainted, or mirrored beyond the picture.
    `z`         (h, w) float32: depth at the nodes of a grid from corner to corner, with straight
                lines between them.
    `margin`    how far it goes on to the left and right, and above and below, over the picture's
                width and height.
    """

    picture: np.ndarray
    opacity: np.ndarray
    invented: np.ndarray
    z: np.ndarray
    margin: tuple[float, float]


def backdrop_of(
    place: Place,
    z: np.ndarray,
    surroundings: np.ndarray | None,
    mask: np.ndarray,
    beyond: float,
    plane: float,
) -> Backdrop:
    """The place with its depth, and a border of what is mirrored.

    Args:
        place: what is behind.
        z: (T, H, W) float32 depth of the person, 0 where they are not.
        surroundings: (T, H, W) float32 depth of all that is seen, where it is known.
        mask: (T, H, W) uint8 of the person.
        beyond: how far it goes on beyond the picture, over the picture's sides.
        plane: depth of the place where it is not known.
    """
    height, width = place.picture.shape[:2]
    rows, columns = (round(beyond * side) for side in (height, width))
    around = ((rows, rows), (columns, columns))
    margin = columns / width, rows / height
    opacity = np.pad(np.full((height, width), 255.0), around, mode="linear_ramp")
    return Backdrop(
        np.pad(place.picture, (*around, (0, 0)), mode="symmetric"),
        np.rint(opacity).astype(np.uint8),
        np.pad(place.invented, around, constant_values=True),
        _depth_behind(z, surroundings, mask, margin, plane),
        margin,
    )


def _depth_behind(
    z: np.ndarray,
    surroundings: np.ndarray | None,
    mask: np.ndarray,
    margin: tuple[float, float],
    plane: float,
) -> np.ndarray:
    """Depth at the nodes of the place's grid: what was measured where nobody is, smoothed, and
    never before the person."""
    height, width = z.shape[1:]
    # Farthest of the person at each pixel, in any frame.
    farthest = z.max(axis=0)
    if surroundings is None:
        depth = np.full((height, width), max(plane, float(farthest.max()) * 1.001), np.float32)
    else:
        free = np.where((mask == 0) & np.isfinite(surroundings), surroundings, np.nan)
        chosen = np.unique(np.linspace(0, len(free) - 1, 64).astype(int))
        known = np.isfinite(free[chosen]).any(axis=0)
        depth = np.full((height, width), plane, np.float32)
        if known.any():
            depth[known] = np.nanmedian(free[chosen][:, known], axis=0)
            rows, columns = nearest(known)
            depth = depth[rows, columns]
        depth = cv2.blur(depth, (5, 5), borderType=cv2.BORDER_REPLICATE)
        # A node speaks for all pixels up to the next ones.
        cell = 2 * math.ceil(max(height, width) / _NODES) + 3
        person = cv2.dilate(farthest, np.ones((cell, cell), np.uint8))
        depth = np.maximum(depth, person * np.float32(1.002))
    at = []
    for side, beyond in zip((width, height), margin, strict=True):
        nodes = max(2, math.ceil(_NODES * side / max(height, width) * (1 + 2 * beyond)) + 1)
        pixels = np.linspace(-beyond, 1 + beyond, nodes) * side - 0.5
        at.append(np.clip(pixels, 0, side - 1).astype(np.float32))
    map_x, map_y = np.meshgrid(*at)
    return cv2.remap(depth, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
