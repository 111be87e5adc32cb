"""Foreground and background: what the model is shown of person and place.

In later stages both are stored: the foreground in the subject's own crop, the background in the
clip's. Human attribute pre-training (HAP, as in DisCo) rebuilds a single image from its own two
parts; human attribute outpainting pre-training (HAOP, sec. 3.3 of the paper) makes that harder, so
that the model does not learn the outline of the hole: the hole is wider than the person, and the
foreground is cropped and resized once more.
"""

from typing import Literal

import cv2
import numpy as np

from shards.stream.geometry import IDENTITY, Geometry
from shards.stream.random import Draws

__all__ = [
    "MID_GREY",
    "Cut",
    "Hole",
    "around_person",
    "draw_dilation",
    "draw_outpainting_crop",
    "filled",
    "holed",
    "widen",
]

Cut = Literal["reference", "hap", "haop"]
Hole = Literal["grey", "filled"]

# Black is -1 and white 1 to the model: a hole of 0 is 127.5, of which 8 bits keep this.
MID_GREY = 128

PADDING = 0.1  # of the person's longer side, on each side, as in the crops of a build
LEAST_EXTENT = 8  # pixels, as there
DILATION_RADIUS = (2, 15)  # discs of 5 to 31 pixels widen the hole of a 256-pixel image
CROP_AREA = (0.5, 1.0)  # fraction of the image that is left of the foreground
_PERSON = 127  # masks above this are the person
_SOFT = 13  # a twentieth: masks above this have some of the person's colours
_BORDER = 1 / 64  # of the height: as far as the person's colours reach beyond their mask
_RADIUS = 3  # pixels from which a hole that is filled takes colours


def around_person(mask: np.ndarray) -> Geometry:
    """The part of an image that shows its person and a tenth more: the foreground of pre-training.

    mask: (H, W) uint8. The margin gives way before the part leaves the image; it has the image's
    proportions, so of a square image it is square. The whole image if nobody is in it.
    """
    height, width = mask.shape
    ys, xs = np.nonzero(mask > _PERSON)
    if not len(xs):
        return IDENTITY
    low = np.array([xs.min() / width, ys.min() / height])
    high = np.array([(xs.max() + 1) / width, (ys.max() + 1) / height])
    extent = max(*(high - low), LEAST_EXTENT / min(height, width))
    side = float(min(extent * (1 + 2 * PADDING), 1.0))
    x, y = np.clip((low + high) / 2 - side / 2, 0, 1 - side).tolist()
    return Geometry(x, y, side)


def draw_dilation(draws: Draws, height: int) -> int:
    """Radius, in pixels of an image this high, of the disc that widens HAOP's hole."""
    return max(1, round(draws.integer(*DILATION_RADIUS) * height / 256))


def draw_outpainting_crop(draws: Draws) -> Geometry:
    """HAOP's crop of the foreground: independent of whatever moved the whole sample."""
    side = draws.uniform(*CROP_AREA) ** 0.5
    return Geometry(draws.uniform(0, 1 - side), draws.uniform(0, 1 - side), side)


def widen(mask: np.ndarray, radius: int) -> np.ndarray:
    """A mask (H, W) uint8, dilated by a disc of this radius in pixels."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask, disc)


def holed(image: np.ndarray, mask: np.ndarray, hole: Hole = "grey") -> np.ndarray:
    """`image` (H, W, 3) uint8 without what `mask` (H, W) uint8 covers, where it is 255.

    `grey`: with mid grey there, mixed in between: in [-1, 1] image * (1 - mask), to the rounding of
    8 bits. `filled`: with what surrounds it there, which has no outline of the person.
    """
    if hole == "filled":
        border = max(1, round(_BORDER * len(mask)))
        return filled(image, widen((mask >= _SOFT).astype(np.uint8), border))
    opaque = mask[..., None] * np.float32(1 / 255)
    return (image + (MID_GREY - image.astype(np.float32)) * opaque + np.float32(0.5)).astype(
        np.uint8
    )


def filled(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` (H, W, 3) uint8 with what surrounds it where `mask` (H, W) uint8 is not 0, by Telea's
    method (2004); mid grey where that is everywhere."""
    if mask.all():
        return np.full_like(image, MID_GREY)
    return cv2.inpaint(np.ascontiguousarray(image), mask, _RADIUS, cv2.INPAINT_TELEA)
