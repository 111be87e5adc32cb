"""The place behind the person, as a second layer: what the frames show of it, what was given, and
what had to be invented."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Place", "place_behind"]

_LOOKS = 64  # frames of which the median is taken, evenly spread
_NEAR = 1 / 50  # of the longer side: so near to the person a pixel has some of their colours
_RADIUS = 5  # pixels from which inpainting takes colours
_ENOUGH = 64  # pixels that are known twice, at least, to compare colours by


@dataclass(frozen=True, eq=False)
class Place:
    """What is behind the person.

    `picture`   (H, W, 3) uint8 RGB.
    `invented`  (H, W) bool: inpainted, since nothing shows it.
    `seen`, `given`
                (H, W) bool: of the median of frames, of the background that was given.
    `shift`     three numbers, added to the given background's colours so that they are the frames'.
    `moves`     mean difference of frames from their median where nobody is, in 8-bit levels: with
                a camera that moves it is large, and the place is blurred.
    """

    picture: np.ndarray
    invented: np.ndarray
    seen: np.ndarray
    given: np.ndarray
    shift: tuple[float, float, float]
    moves: float


def place_behind(
    frames: np.ndarray,
    mask: np.ndarray,
    background: np.ndarray | None = None,
    background_mask: np.ndarray | None = None,
) -> Place:
    """The median of what frames show where nobody is, else the given background, else inpainted.

    Args:
        frames: (F, H, W, 3) uint8.
        mask: (F, H, W) uint8, above 0 where somebody is.
        background, background_mask: (H, W, 3) and (H, W) uint8; 255 is not known.
    """
    height, width = frames.shape[1:3]
    chosen = np.unique(np.linspace(0, len(frames) - 1, _LOOKS).astype(int))
    reach = max(1, round(_NEAR * max(height, width)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    covered = np.stack([cv2.dilate(mask[t], kernel) > 0 for t in chosen])
    looked = frames[chosen]
    picture = _median(looked, covered)
    seen = np.logical_not(covered.all(axis=0))
    apart = np.abs(looked.astype(np.int16) - picture).mean(axis=-1)
    moves = float(apart[~covered].mean()) if seen.any() else 0.0
    given, shift = np.zeros((height, width), bool), (0.0, 0.0, 0.0)
    if background is not None:
        known = np.ones((height, width), bool) if background_mask is None else background_mask < 13
        both = known & seen
        if both.sum() >= _ENOUGH:
            between = picture[both].astype(np.float32) - background[both]
            red, green, blue = np.round(np.median(between, axis=0), 2).tolist()
            shift = red, green, blue
        given = known & ~seen
        moved = np.clip(background.astype(np.float32) + shift, 0, 255) + 0.5
        picture[given] = moved.astype(np.uint8)[given]
    invented = ~(seen | given)
    if invented.all():
        picture[:] = frames.mean(axis=(0, 1, 2)).astype(np.uint8)
    elif invented.any():
        picture = cv2.inpaint(picture, invented.astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA)
    return Place(picture, invented, seen, given, shift, moves)


def _median(frames: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: of each pixel the middle one of its uncovered values, 0 without any.

    Of an even number of values it is the lower middle one, which is a colour that was seen.
    """
    # Covered values go to the end of the line.
    values = np.where(covered[..., None], np.uint16(999), frames)
    values.sort(axis=0)
    free = (~covered).sum(axis=0)
    middle = np.maximum(free - 1, 0) // 2
    picked = np.take_along_axis(values, middle[None, ..., None], axis=0)[0]
    return np.where(free[..., None] > 0, picked, 0).astype(np.uint8)
