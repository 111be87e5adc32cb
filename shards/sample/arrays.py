"""One member's bytes and the array in them.

Depth is stored as colour or grey; `to_stored` and `from_stored` convert it, `array_to_member` and
`member_to_array` do the files. Everything else is stored as it is.
"""

from __future__ import annotations

import io

import numpy as np

from shards.errors import BadSample
from shards.sample.colormap import depth_to_grey, depth_to_hot, grey_to_depth, hot_to_depth
from shards.sample.images import decode_image, encode_jpeg, encode_png
from shards.sample.members import KINDS

__all__ = ["array_to_member", "from_stored", "is_hot", "member_to_array", "to_stored"]

# Stored colours lie on the hot line, where the sum of RGB tells the colour: a table of the inverse
# is ten times faster than `hot_to_depth`, which also has to cope with colours beside the line.
_HOT_LINE = np.clip(np.arange(766)[:, None] - (0, 255, 510), 0, 255).astype(np.uint8)
_HOT_DEPTHS = hot_to_depth(_HOT_LINE)[0]
_HOT_EXISTS = (depth_to_hot(_HOT_DEPTHS) == _HOT_LINE).all(axis=-1)  # not the darkest: hot is red
_GREY = {"depth_frame": np.uint16, "mask": np.uint8, "reference_mask": np.uint8}


def to_stored(modality: str, array: np.ndarray) -> np.ndarray:
    """Depth (T, H, W) in [0, 1]: the person's to (T, H, W, 3) `hot` colours, else 16-bit grey."""
    if modality == "depth_person":
        return depth_to_hot(array)
    return depth_to_grey(array) if modality == "depth_frame" else array


def from_stored(modality: str, array: np.ndarray) -> np.ndarray:
    """Undoes `to_stored`; float32 depth in [0, 1]."""
    if modality == "depth_person":
        return _HOT_DEPTHS[_rgb_sum(array)]
    return grey_to_depth(array) if modality == "depth_frame" else array


def is_hot(rgb: np.ndarray) -> np.ndarray:
    """Which pixels of (..., 3) uint8 have a colour that `hot` gives, (...) bool."""
    total = _rgb_sum(rgb)
    return (rgb == _HOT_LINE[total]).all(axis=-1) & _HOT_EXISTS[total]


def array_to_member(modality: str, array: np.ndarray) -> bytes:
    """The file of a stored array: one frame, or the whole of a modality stored per clip."""
    if modality == "keypoints":
        file = io.BytesIO()
        np.lib.format.write_array(
            file, np.ascontiguousarray(array, "<f4"), version=(1, 0), allow_pickle=False
        )
        return file.getvalue()
    return (encode_jpeg if KINDS[modality].extension == "jpg" else encode_png)(array)


def member_to_array(modality: str, name: str, data: bytes) -> np.ndarray:
    """The stored array in a member: (H, W) or (H, W, 3), or keypoints (T, people, joints, 3).

    Raises BadSample, naming the member, for what cannot be decoded or is of another type.
    """
    try:
        if modality == "keypoints":
            return _decode_npy(data)
        image = decode_image(data)
    except ValueError as error:
        raise BadSample(f"{name}: {error}") from error
    grey = _GREY.get(modality)
    if (image.ndim, image.dtype) != ((3, np.uint8) if grey is None else (2, grey)):
        raise BadSample(f"{name}: is {image.dtype}{image.shape}, wrong for {modality}")
    return image


def _rgb_sum(rgb: np.ndarray) -> np.ndarray:
    # Three times faster than a sum over an axis of three.
    return rgb[..., 0].astype(np.uint16) + rgb[..., 1] + rgb[..., 2]


def _decode_npy(data: bytes) -> np.ndarray:
    # Only what we write: numpy's own reader allocates whatever a header claims.
    file = io.BytesIO(data)
    try:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f"not an npy array ({error})") from error
    body = data[file.tell() :]
    if dtype != np.dtype("<f4") or fortran or len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"holds {dtype}{shape}, not float32 (frames, people, joints, 3)")
    if len(body) != 4 * int(np.prod(shape, dtype=object)):
        raise ValueError(f"holds {len(body)} bytes of data, not those of shape {shape}")
    return np.frombuffer(body, "<f4").astype(np.float32).reshape(shape)
