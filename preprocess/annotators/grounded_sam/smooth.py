"""Flicker of masks, told from motion by how far it lies from the neighbouring frames' masks."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["smooth"]

# How fast a person's outline moves at most, in lengths of the person a second: hands in fast
# dances reach 4-5 m/s.
_SPEED = 2.5


def smooth(masks: np.ndarray, fps: float) -> np.ndarray:
    """`masks`, (T, H, W) bool, without what is there, or is missing, in a single frame only.

    `fps` is of these frames. A region that neither neighbouring frame has is removed, and one
    that both have is filled in, whole, if it reaches farther than a person's outline moves in the
    time between frames; so a moving limb is never eaten, and a fringe of that width may flicker
    on. The first and the last frame have one neighbour, and stay.
    """
    result = masks.copy()
    for before, mask, after, out in zip(masks, masks[1:], masks[2:], result[1:], strict=False):
        either, both = before | after, before & after
        reach = _SPEED / fps * max(_length(before), _length(after))
        blobs, holes = mask & ~either, both & ~mask
        if blobs.any():
            out &= ~_far(blobs, ~either, reach)
        if holes.any():
            out |= _far(holes, both, reach)
    return result


def _far(region: np.ndarray, around: np.ndarray, reach: float) -> np.ndarray:
    """The connected parts of `region` with a pixel more than `reach` from the edge of `around`."""
    if around.all():  # no edge anywhere: the neighbours have nobody
        return region
    distance = cv2.distanceTransform(around.astype(np.uint8), cv2.DIST_L2, 5)
    _, labels = cv2.connectedComponents(region.astype(np.uint8))
    far = np.unique(labels[region & (distance > reach)])
    return np.isin(labels, far[far > 0])


def _length(mask: np.ndarray) -> int:
    """The longer side of the box around `mask`."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return max(int(np.ptp(rows)), int(np.ptp(columns))) + 1 if len(rows) else 0
