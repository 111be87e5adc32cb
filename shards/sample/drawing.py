"""Modalities as a person can judge them: the tiles of a contact sheet."""

import cv2
import numpy as np

from shards.sample.colormap import depth_to_hot

__all__ = ["as_it_is", "flow", "grey", "hole_outlined", "hot", "outlined", "over_dimmed"]

# Each takes a clip's frames (T, H, W, 3) uint8 RGB and an array of it, and returns
# (T, H, W, 3) uint8 RGB.

_OUTLINE = (64, 224, 255)
_PERSON = 127


def as_it_is(frames: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours (T, H, W, 3) uint8."""
    return colours


def outlined(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The person of masks (T, H, W) uint8 in colour, with an outline, on a dim grey background."""
    return np.stack([_outlined(*pair) for pair in zip(frames, masks, strict=True)])


def over_dimmed(frames: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """What is drawn on black, (T, H, W, 3) uint8, over the dimmed frames."""
    # Limbs are often drawn at less than full brightness: they are opaque all the same.
    opaque = np.minimum(drawn.max(axis=-1, keepdims=True) / np.float32(64), 1)
    return _blend(frames * np.float32(0.4), drawn, opaque)


def hot(frames: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Depths (T, H, W) in [0, 1] in the `hot` colour map."""
    return depth_to_hot(depths)


def grey(frames: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Depths (T, H, W) in [0, 1] in grey."""
    return np.repeat((depths * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)


def flow(frames: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """Flow (T, H, W, 3), u, v and 1 where known: hue by its direction, paler where it is less,
    against the clip's largest, and black where it is not known."""
    u, v, known = (flows[..., i] for i in range(3))
    speed = np.hypot(u, v)
    hue = (np.arctan2(v, u) / np.pi * 90 + 90).astype(np.uint8) % 180
    pale = (speed / max(float(speed.max()), 1.0) * 255).astype(np.uint8)
    wheel = np.stack([hue, pale, (known > 0).astype(np.uint8) * 255], -1)
    return np.stack([cv2.cvtColor(one, cv2.COLOR_HSV2RGB) for one in wheel])


def hole_outlined(frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Frames with grey for the people of masks (T, H, W) uint8, and an outline around it."""
    opaque = masks[..., None] / np.float32(255)
    tiles = _blend(frames, np.float32(96), opaque)
    return np.stack([_with_outline(*pair) for pair in zip(tiles, masks, strict=True)])


def _outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    dim = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    tile = _blend(dim * np.float32(0.35), frame, mask[..., None] / np.float32(255))
    return _with_outline(tile, mask)


def _with_outline(tile: np.ndarray, mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(
        (mask > _PERSON).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(tile, contours, -1, _OUTLINE, 1, cv2.LINE_AA)


def _blend(
    below: np.ndarray | np.float32, above: np.ndarray | np.float32, opaque: np.ndarray
) -> np.ndarray:
    return (below + (above - below) * opaque + np.float32(0.5)).astype(np.uint8)
