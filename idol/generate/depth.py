"""From the depth stream's pictures to depth (method, "Depth as colour")."""

from __future__ import annotations

from typing import Literal

import numpy as np

from idol.model_info import DepthMeaning
from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END
from shards.sample.colormap import MIXED_RESIDUAL, hot_to_depth

__all__ = ["ColourMap", "colour_map", "depth_of", "metres_of", "to_uint8"]

ColourMap = Literal["hot", "grey", "grey near-white"]


def colour_map(meaning: DepthMeaning) -> ColourMap:
    """How the depth of a model is coloured."""
    if meaning.kind == "person":
        return "hot"
    return "grey near-white" if meaning.near_white else "grey"


def depth_of(pictures: np.ndarray, colours: ColourMap) -> tuple[np.ndarray, np.ndarray]:
    """Depth of generated pictures, and how far each of their pixels can be believed.

    hot: the nearest point on the line of colours; where a colour lies off it, as mixtures of two
    depths do at edges, the depth of the same sum of red, green and blue, which is linear in such
    mixtures. grey: the mean of the three channels.

    Args:
        pictures: (..., H, W, 3) uint8, or floats in [0, 1]; values beyond are taken as the bounds.

    Returns:
        Depth (..., H, W) float32 in [0, 1], 0 near, without NaN; and confidence (..., H, W) float32
        in [0, 1]: 1 on the line of colours, falling with the distance from it.

    Raises:
        ValueError: pictures are not (..., 3), or hold NaN.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim < 3 or pictures.shape[-1] != 3:
        raise ValueError(f"depth pictures must be (..., H, W, 3), not {pictures.shape}")
    if colours == "hot":
        return hot_to_depth(to_uint8(pictures))
    whole = np.float32(255 if pictures.dtype == np.uint8 else 1)
    rgb = np.clip(pictures.astype(np.float32) / whole, 0, 1)
    grey = rgb.mean(axis=-1)
    # As far from grey as a colour is from `hot` counts alike.
    residual = np.sqrt(np.square(rgb - grey[..., None]).sum(axis=-1))
    confidence = np.exp(-np.square(residual / (2 * MIXED_RESIDUAL)))
    _refuse_nan(grey)
    return (1 - grey if colours == "grey near-white" else grey), confidence


def metres_of(depth: np.ndarray, meaning: DepthMeaning) -> np.ndarray | None:
    """Depth in metres, as `DepthMeaning.unit` counts them; NaN where there is no person.

    None where it is relative: where the data had a range of its own for each video, or no metres.

    Args:
        depth: (..., H, W) in [0, 1], of `depth_of`.
    """
    if meaning.near is None or meaning.far is None:
        return None
    far_at = meaning.far_at or (FOREGROUND_DEPTH_END if meaning.kind == "person" else 1.0)
    metres = meaning.near + depth / np.float32(far_at) * (meaning.far - meaning.near)
    # Half-way between the farthest point of a person and the background, as `Clip.depth_in_unit`.
    known = depth <= (far_at + BACKGROUND_DEPTH) / 2
    return np.where(known, metres, np.nan).astype(np.float32)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1], or uint8 already, as uint8. Raises ValueError for NaN."""
    if images.dtype == np.uint8:
        return images
    _refuse_nan(images)
    return (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)


def _refuse_nan(array: np.ndarray) -> None:
    if np.isnan(array).any():
        raise ValueError("the generated picture holds NaN: no depth can be read from it")
