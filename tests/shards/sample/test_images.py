from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from shards.sample.images import check_size, decode_image, encode_jpeg, encode_png


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
    with pytest.raises(ValueError, match="is 30000x20000, more than"):
        decode_image(_claiming(data, 30000, 20000))


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
