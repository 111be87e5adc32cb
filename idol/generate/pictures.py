"""Images as users give them, PIL's or arrays, to uint8 arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, float64

from idol.generate.depth import to_uint8
from idol.generate.errors import GenerationError

__all__ = ["Picture", "array_of", "mask_of", "pad_to_square", "picture_of", "pictures_of"]

# PIL of 8 or 16 bits or floats, or (H, W), (H, W, 3) or (H, W, 4) uint8, or floats in [0, 1].
Picture = Image.Image | np.ndarray | Tensor


def picture_of(picture: Picture, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """An image as (H, W, 3) uint8, and its alpha (H, W) uint8 if it has one.

    Raises GenerationError, with the picture's name, for anything else.
    """
    array = _array(picture, name)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 3 or array.shape[-1] not in (3, 4) or not array.size:
        raise GenerationError(
            f"{name} is {array.shape}: give an image, or an array of (height, width, 3)"
        )
    alpha = array[..., 3].copy() if array.shape[-1] == 4 else None
    return array[..., :3].copy(), alpha


def mask_of(mask: Picture | None, name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """A mask as (H, W) uint8, 0 to 255 or of 0 and 1 alone, as 0 to 255; None if there is none.

    Raises GenerationError unless it is of this height and width and has one channel, or three
    alike.
    """
    if mask is None:
        return None
    grey = isinstance(mask, Image.Image) and mask.mode in ("L", "RGB")
    array = np.asarray(mask) if grey else _array(mask, name)  # whatever of it is transparent
    if array.ndim == 3 and array.shape[-1] in (1, 3) and np.all(array == array[..., :1]):
        array = array[..., 0]
    if array.shape != shape:
        raise GenerationError(
            f"{name} is {' x '.join(map(str, array.shape))}, and its image "
            f"{shape[0]} x {shape[1]} (height x width): give one of the same size, in grey"
        )
    return array * 255 if array.max() == 1 else array.copy()


def pictures_of(pictures: Sequence[Picture] | np.ndarray | Tensor, name: str) -> np.ndarray:
    """Images of one size as (F, H, W, 3) uint8. Raises GenerationError."""
    one = getattr(pictures, "ndim", 4) == 3 and pictures.shape[-1] in (3, 4)  # type: ignore[union-attr]
    if isinstance(pictures, Image.Image) or not hasattr(pictures, "__len__") or one:
        raise GenerationError(f"{name} must be a list of images, one a frame, or (F, H, W, 3)")
    if not len(pictures):
        raise GenerationError(f"{name} are empty: give one image a frame")
    frames = [picture_of(picture, f"{name}[{i}]")[0] for i, picture in enumerate(pictures)]
    if len(sizes := {frame.shape[:2] for frame in frames}) > 1:
        listed = ", ".join(f"{h} x {w}" for h, w in sorted(sizes))
        raise GenerationError(f"{name} are of different sizes (height x width): {listed}")
    return np.stack(frames)


def pad_to_square(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) and its mask (H, W), uint8, in the middle of a square outside the mask."""
    height, width = mask.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = ((top, side - height - top), (left, side - width - left))
    return np.pad(image, (*around, (0, 0))), np.pad(mask, around)


def array_of(values: Any) -> np.ndarray:
    """As numpy has it, which has no bfloat16; half precision as float32."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype != float64:
        values = values.float()
    array: np.ndarray = values.numpy()
    return array


def _array(picture: Any, name: str) -> np.ndarray:
    if isinstance(picture, Image.Image) and picture.mode.startswith("I;16"):
        return (np.asarray(picture) / 257).round().astype(np.uint8)
    if isinstance(picture, Image.Image) and picture.mode == "I":
        raise GenerationError(f"{name} has 32 bits a pixel: give 8 or 16, or floats in [0, 1]")
    if isinstance(picture, Image.Image) and picture.mode != "F":
        # A colour may be transparent in any mode.
        has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        wanted = "RGBA" if has_alpha else "L" if picture.mode in ("1", "L") else "RGB"
        return np.asarray(picture if picture.mode == wanted else picture.convert(wanted))
    array = array_of(picture)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise GenerationError(f"{name} is {array.dtype}: give uint8, or floats in [0, 1]")
    # A little beyond is the overshoot of resizing, and more is another scale.
    if not array.size or not (array.min() >= -0.05 and array.max() <= 1.05):
        raise GenerationError(f"{name} has values outside [0, 1]: give uint8, or floats in [0, 1]")
    return to_uint8(array)
