from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from shards.sample.images import (
    check_size,
    decode_image,
    decode_picture,
    encode_jpeg,
    encode_png,
)


def _claiming(data: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its header."""
    if data[:4] == b"\x89PNG":
        return data[:16] + struct.pack(">II", width, height) + data[24:]
    at = next(data.index(m) for m in (b"\xff\xc0", b"\xff\xc2") if m in data) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _progressive(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


@pytest.mark.parametrize("encode", [encode_png, encode_jpeg, _progressive])
def test_a_file_that_claims_a_huge_image_is_not_decoded(
    encode: Callable[[np.ndarray], bytes],
) -> None:
    data = encode(np.zeros((24, 32, 3), np.uint8))
    assert decode_image(data).shape == (24, 32, 3)
    check_size(_claiming(data, 8192, 8192))
    for decode in (decode_image, decode_picture):
        with pytest.raises(ValueError, match="is 30000x20000, more than"):
            decode(_claiming(data, 30000, 20000))


def _with_thumbnail(rgb: np.ndarray) -> bytes:
    """A JPEG with another, whole one in its header, as cameras write them."""
    data, small = encode_jpeg(rgb), encode_jpeg(rgb[:8, :8])
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(small)) + small + data[2:]


@pytest.mark.parametrize("encode", [encode_png, encode_jpeg, _progressive, _with_thumbnail])
def test_a_picture_that_is_cut_short_anywhere_is_not_decoded(
    encode: Callable[[np.ndarray], bytes],
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    data = encode(rgb)
    assert decode_picture(data).shape == (24, 32, 3)
    for length in range(4, len(data), 7):
        with pytest.raises(ValueError, match="cut short"):
            decode_picture(data[:length])


@pytest.mark.parametrize("encode", [encode_jpeg, _progressive, _with_thumbnail])
def test_something_may_follow_a_jpeg_as_phones_write_it(
    encode: Callable[[np.ndarray], bytes],
) -> None:
    data = encode(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    np.testing.assert_array_equal(decode_picture(data + b"SEFT\0\0"), decode_image(data))


def test_a_picture_is_as_it_was_stored_with_its_transparency() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    png = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    np.testing.assert_array_equal(decode_picture(png), rgba)
    rgb = rgba[..., :3].copy()
    for kind in (".tif", ".bmp"):
        file = cv2.imencode(kind, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
        np.testing.assert_array_equal(decode_picture(file), rgb)
    grey = rgba[..., 0].astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_picture(encode_png(grey)), grey)
    for data in (b"", b"no", b"RIFF", b"\xff\xd8\xff\xd9"):
        with pytest.raises(ValueError, match="image cannot be decoded"):
            decode_picture(data)


def test_the_size_of_a_jpeg_is_found_behind_other_segments_and_fill_bytes() -> None:
    data = _claiming(encode_jpeg(np.zeros((24, 32, 3), np.uint8)), 30000, 20000)
    # A comment that holds a frame header of 1x1, then garbage, then fill bytes.
    comment = b"\xff\xfe" + struct.pack(">H", 13) + b"\xff\xc0\0\x11\x08\0\x01\0\x01\x03\0"
    with pytest.raises(ValueError, match="is 30000x20000"):
        check_size(data[:2] + comment + b"junk" + b"\xff\xff\xff" + data[2:])


@pytest.mark.parametrize("data", [b"\x89PNG", b"\xff\xd8\xff\xd9", b"\xff\xd8", b"\xff\xd8\xff"])
def test_a_file_without_a_size_is_no_image(data: bytes) -> None:
    with pytest.raises(ValueError, match="no size"):
        check_size(data)
