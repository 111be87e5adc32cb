"""Images are decoded where they belong, or refused before they take memory."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from shards.errors import BadSample
from shards.sample.images import decode_into, encode_jpeg, encode_png


def bomb_png(side: int) -> bytes:
    """A grey PNG of a few hundred bytes that says it has side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bomb_jpeg(side: int) -> bytes:
    data = bytearray(encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


@pytest.mark.parametrize("data", [bomb_png(60000), bomb_jpeg(60000), bomb_png(17), bomb_jpeg(17)])
def test_another_size_is_refused_before_decoding(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    out = np.full((8, 8, 3), 7, np.uint8)
    with pytest.raises(BadSample, match=r"k\.rgb: is (\d+)x\1, not 8x8"):
        decode_into(out, memoryview(data), "k.rgb")
    assert (out == 7).all()


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND1234"])
def test_without_a_size_it_is_no_image(data: bytes) -> None:
    with pytest.raises(BadSample, match="says no size"):
        decode_into(np.zeros((8, 8, 3), np.uint8), memoryview(data), "k.rgb")


def test_sizes_are_height_and_width() -> None:
    image = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    out = np.zeros_like(image)
    decode_into(out, memoryview(encode_png(image)), "k")
    np.testing.assert_array_equal(out, image)
    with pytest.raises(BadSample, match="is 9x6, not 6x9"):
        decode_into(np.zeros((9, 6, 3), np.uint8), memoryview(encode_jpeg(image)), "k")
