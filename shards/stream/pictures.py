"""Image files into rows of arrays that are there already."""

from __future__ import annotations

import cv2
import numpy as np

from shards.errors import BadSample
from shards.sample.images import declared_size

__all__ = ["decode_into"]

# RGB straight from the decoder: OpenCV's own order would have to be turned round afterwards.
_COLOUR = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode_into(out: np.ndarray, data: memoryview | None, name: str) -> None:
    """Decode a JPEG or PNG: (H, W, 3) uint8 RGB, or (H, W) uint8 grey; 16-bit grey is rounded to 8.

    A grey picture for an `out` of three channels is repeated in each.
    Raises BadSample, naming the member, if it is missing, damaged or of another size or kind.
    """
    if data is None:
        raise BadSample(f"{name}: missing")
    # OpenCV alone would fill the rest of a truncated picture with grey, and say nothing.
    if not (
        (data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9")
        or (data[:4] == b"\x89PNG" and data[-8:-4] == b"IEND")
    ):
        raise BadSample(f"{name}: not a JPEG or PNG, or cut short")
    colour = out.ndim == 3
    try:
        # Before decoding: a file of a megabyte can claim, and take, gigabytes.
        width, height = declared_size(data)
    except ValueError as error:
        raise BadSample(f"{name}: {error}") from error
    if (height, width) != out.shape[:2]:
        raise BadSample(f"{name}: is {width}x{height}, not {out.shape[1]}x{out.shape[0]}")
    try:
        flags = _COLOUR if colour and not _is_grey_png(data) else cv2.IMREAD_UNCHANGED
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadSample(f"{name}: cannot be decoded ({error.err})") from error
    if image is None:
        raise BadSample(f"{name}: cannot be decoded")
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    if image.dtype != np.uint8 or image.shape[:2] != out.shape[:2]:
        raise BadSample(f"{name}: is {image.dtype}{image.shape}, not uint8{out.shape}")
    if image.ndim < out.ndim:
        out[...] = image[..., None]
    elif image.ndim > out.ndim:
        raise BadSample(f"{name}: has {image.shape[2]} channels, not 1")
    else:
        out[...] = image


def _is_grey_png(data: memoryview) -> bool:
    # The colour type of the header: 0 is grey. OpenCV would cut 16 bits of it down to 8.
    return data[:4] == b"\x89PNG" and data[25] == 0
