"""The pictures a contact sheet is made of: each modality as something a person can judge."""

from __future__ import annotations

import cv2
import numpy as np

from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot

__all__ = ["reference_tiles", "rows_of_tiles"]

_OUTLINE = (64, 224, 255)
_PERSON = 127


def rows_of_tiles(clip: Clip) -> list[tuple[str, np.ndarray]]:
    """`(modality, (T, H, W, 3) uint8 RGB)` of what the clip has, in the order of reading."""
    rows = [("rgb", clip.rgb)]
    if clip.mask is not None:
        tiles = [_outlined(*pair) for pair in zip(clip.rgb, clip.mask, strict=True)]
        rows.append(("mask", np.stack(tiles)))
    if clip.pose is not None:
        # Limbs are often drawn at less than full brightness: they are opaque all the same.
        opaque = np.minimum(clip.pose.max(axis=-1, keepdims=True) / np.float32(64), 1)
        rows.append(("pose", _blend(clip.rgb * np.float32(0.4), clip.pose, opaque)))
    if clip.depth_person is not None:
        rows.append(("depth_person", depth_to_hot(clip.depth_person)))
    if clip.depth_frame is not None:
        grey = (clip.depth_frame * 255 + 0.5).astype(np.uint8)
        rows.append(("depth_frame", np.repeat(grey[..., None], 3, axis=-1)))
    return rows


def reference_tiles(clip: Clip) -> list[tuple[str, np.ndarray]]:
    """`(title, (H, W, 3) uint8 RGB)`: the reference frame and its parts as training cuts them."""
    if clip.reference is None:
        return []
    tiles = [("reference frame", clip.reference)]
    if clip.reference_mask is not None:
        person = clip.reference_mask[..., None] / np.float32(255)
        white, grey = np.float32(255), np.float32(96)
        tiles.append(("foreground", _blend(white, clip.reference, person)))
        tiles.append(("background", _blend(clip.reference, grey, person)))
    return tiles


def _outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The person in colour on a dim grey background, with an outline."""
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    tile = _blend(grey * np.float32(0.35), frame, mask[..., None] / np.float32(255))
    contours, _ = cv2.findContours(
        (mask > _PERSON).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(tile, contours, -1, _OUTLINE, 1, cv2.LINE_AA)


def _blend(
    below: np.ndarray | np.float32, above: np.ndarray | np.float32, opaque: np.ndarray
) -> np.ndarray:
    return (below + (above - below) * opaque + np.float32(0.5)).astype(np.uint8)
