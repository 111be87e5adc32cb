"""Pictures and arrays of a clip, as its files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from idol.evaluate.errors import EvaluationError
from shards.sample.colormap import grey_to_depth, hot_to_depth
from shards.sample.images import decode_image

__all__ = ["read_array", "read_depth_pictures", "read_frame", "read_masks"]

# Pictures in other colours than `hot`. Its red is at least its green, and that at least its blue;
# mixtures of its colours, as at soft edges, keep that order, and few colours of viridis, jet, turbo
# or magma do. Of models' pictures, out of compressed videos, fewer than one pixel in 1000 was out
# of order by more than this, and the mean confidence was .76 or more; of JPEGs of quality 10 it was
# .6 % of the pixels.
_OUT_OF_ORDER = 32
_MOST_OUT_OF_ORDER = 0.02
_LEAST_CONFIDENCE = 0.5


def read_frame(file: Path) -> np.ndarray:
    """(H, W, 3) uint8. Raises EvaluationError where there is no such image."""
    image = _image(file)
    if image.dtype != np.uint8:
        raise EvaluationError(f"{file}: is {image.dtype}; frames are 8-bit")
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def read_depth_pictures(files: Sequence[Path]) -> np.ndarray:
    """(F, H, W) float32 in [0, 1] of pictures in grey or in the colours of `hot`.

    Raises EvaluationError where there is no such picture, or they are of several sizes.
    """
    return np.stack(_alike([_depth(file) for file in files], files))


def read_masks(files: Sequence[Path]) -> np.ndarray:
    """(F, H, W) bool: where masks are light; 16 bits may hold 8, and either 0 and 1 alone.

    Raises EvaluationError where there is no such image, or they are of several sizes.
    """
    masks = _alike([_image(file) for file in files], files)
    grey = [mask if mask.ndim == 2 else mask.max(-1) for mask in masks]
    stack = np.stack(grey)
    white = next(top for top in (1, 255, 65535) if stack.max() <= top)
    there: np.ndarray = stack > white // 2
    return there


def read_array(file: Path) -> np.ndarray:
    """The finite numbers in a .npy. Raises EvaluationError where there are none."""
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise EvaluationError(f"{file}: is no array ({error})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise EvaluationError(f"{file}: holds several arrays (.npz): save one, as .npy")
    if array.dtype.kind not in "fiu":
        raise EvaluationError(f"{file}: is an array of {array.dtype}, not of numbers")
    if not np.isfinite(array).all():
        raise EvaluationError(f"{file}: has values that are not finite")
    return array


def _image(file: Path) -> np.ndarray:
    try:
        return decode_image(file.read_bytes())
    except ValueError as error:
        raise EvaluationError(f"{file}: {error}") from error


def _depth(file: Path) -> np.ndarray:
    image = _image(file)
    if image.ndim == 2:
        return grey_to_depth(image)
    if image.dtype != np.uint8:
        raise EvaluationError(
            f"{file}: is {image.dtype} in colour; depth is grey, or `hot` in 8 bit"
        )
    if (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all():
        return grey_to_depth(image[..., 0])
    depth, confidence = hot_to_depth(image)
    if confidence.mean() < _LEAST_CONFIDENCE or _out_of_order(image) > _MOST_OUT_OF_ORDER:
        raise EvaluationError(
            f"{file}: is in other colours than those of `hot`: give depth in grey, in `hot`, or as "
            "depth.npy"
        )
    return depth


def _out_of_order(image: np.ndarray) -> float:
    """The share of pixels whose green is over their red, or blue over their green."""
    red, green, blue = np.moveaxis(image.astype(np.int16), -1, 0)
    return float((np.maximum(green - red, blue - green) > _OUT_OF_ORDER).mean())


def _alike(images: list[np.ndarray], files: Sequence[Path]) -> list[np.ndarray]:
    for image, file in zip(images, files, strict=True):
        if image.shape != images[0].shape:
            raise EvaluationError(f"{file}: is {image.shape}, the first is {images[0].shape}")
    return images
