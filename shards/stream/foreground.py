"""Foreground and background: what the model is shown of person and place.

Plain training cuts both from the video's reference frame. Human attribute pre-training (HAP, as in
DisCo) rebuilds a single image from its own two parts; human attribute outpainting pre-training
(HAOP, sec. 3.3 of the paper) makes that harder, so that the model does not learn the outline of
the hole: the hole is wider than the person, and the foreground is cropped and resized.
"""

from typing import Literal

import cv2
import numpy as np

from shards.stream.geometry import Geometry
from shards.stream.random import Draws

__all__ = ["MID_GREY", "Cut", "cut", "draw_dilation", "draw_outpainting_crop", "hole"]

Cut = Literal["reference", "hap", "haop"]

# Black is -1 and white 1 to the model: a hole of 0 is 127.5, of which 8 bits keep this.
MID_GREY = 128

DILATION_RADIUS = (2, 15)  # discs of 5 to 31 pixels widen the hole of a 256-pixel image
CROP_AREA = (0.5, 1.0)  # fraction of the image that is left of the foreground


def draw_dilation(draws: Draws, height: int) -> int:
    """Radius, in pixels of an image this high, of the disc that widens HAOP's hole."""
    return max(1, round(draws.integer(*DILATION_RADIUS) * height / 256))


def draw_outpainting_crop(draws: Draws) -> Geometry:
    """HAOP's crop of the foreground: independent of whatever moved the whole sample."""
    side = draws.uniform(*CROP_AREA) ** 0.5
    return Geometry(draws.uniform(0, 1 - side), draws.uniform(0, 1 - side), side)


def hole(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` (H, W, 3) uint8 with mid grey where `mask` (H, W) uint8 is 255, mixed in between.

    In [-1, 1] this is image * (1 - mask), to the rounding of 8 bits.
    """
    opaque = mask[..., None] * np.float32(1 / 255)
    return (image + (MID_GREY - image.astype(np.float32)) * opaque + np.float32(0.5)).astype(
        np.uint8
    )


def cut(
    foreground: np.ndarray,
    foreground_mask: np.ndarray,
    background: np.ndarray,
    background_mask: np.ndarray,
    outpainting: Draws | None = None,
) -> None:
    """Turn an image and its mask into the two parts, in place.

    foreground, background: (H, W, 3) uint8, both holding the image; foreground_mask,
    background_mask: (H, W) uint8, both its mask. The background gets its hole. Draws for HAOP's
    `outpainting` dilate the hole before that, and crop the foreground together with its mask.
    The foreground keeps its surroundings: they go by its mask after CLIP's normalisation.
    """
    if outpainting is not None:
        diameter = 2 * draw_dilation(outpainting, len(foreground)) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
        background_mask[...] = cv2.dilate(background_mask, disc)
        crop = draw_outpainting_crop(outpainting)
        crop.apply(foreground)
        crop.apply(foreground_mask)
    background[...] = hole(background, background_mask)
