"""Arrays to image bytes and back, by OpenCV: RGB outside, whatever OpenCV wants inside."""

import re
import struct

import cv2
import numpy as np

from shards.errors import BadSample

__all__ = [
    "check_size",
    "declared_size",
    "decode_image",
    "decode_into",
    "decode_picture",
    "encode_jpeg",
    "encode_png",
]

_MAX_PIXELS = 8192 * 8192
_CHUNK_LENGTH = struct.Struct(">I")
_JPEG_START, _PNG_START, _RIFF = b"\xff\xd8", b"\x89PNG", b"RIFF"
# What follows FF in a JPEG's pixels: 00 is FF itself, D0 to D7 are restarts, FF fills.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# 4:4:4: chroma at full resolution, since depth and appearance are learnt from the same pixels.
_JPEG = (
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
# Measured on masks, skeletons and depths of 256x256: level 3 with the `up` filter takes half the
# time of level 6 for 14 % more bytes, 7 % of a sample; other filters are slower or larger.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)


def encode_jpeg(rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a JPEG of quality 95, 4:4:4."""
    return _encode(".jpg", rgb, _JPEG)


def encode_png(image: np.ndarray) -> bytes:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, as a lossless PNG."""
    return _encode(".png", image, _PNG)


def decode_image(data: bytes) -> np.ndarray:
    """The array of a JPEG or PNG: RGB if it has colours, 16 bits if it was stored so.

    Raises ValueError if the data is no image, is cut short, is huge, or has transparency.
    """
    if not _is_whole(data):
        raise ValueError("not a JPEG or PNG, or cut short")
    check_size(data)
    image = _unchanged(data)
    if image.ndim == 3 and image.shape[2] != 3:
        raise ValueError(f"image has {image.shape[2]} channels, not 1 or 3")
    return image


def decode_picture(data: bytes) -> np.ndarray:
    """The array of an image file of any kind that OpenCV reads: (H, W) grey, (H, W, 3) RGB or
    (H, W, 4) RGBA, as it was stored.

    A JPEG may be followed by something else, as phones write them. Raises ValueError if the data is
    no image, is cut short, or is huge.
    """
    if data.startswith((_JPEG_START, _PNG_START)) and not (_is_whole(data) or _reaches_end(data)):
        raise ValueError("image is cut short")
    if data.startswith((_JPEG_START, _PNG_START, _RIFF)):  # OpenCV has limits for the others
        check_size(data)
    return _unchanged(data)


def check_size(data: bytes | memoryview) -> None:
    """Raises ValueError if a JPEG or PNG says that it has more than 8192 x 8192 pixels, or no size.

    To be asked before decoding: a file of a megabyte can claim, and take, gigabytes.
    """
    width, height = declared_size(data)
    if width * height > _MAX_PIXELS:
        raise ValueError(f"image is {width}x{height}, more than 8192x8192 pixels: not decoded")


def declared_size(data: bytes | memoryview) -> tuple[int, int]:
    """(width, height) as a JPEG, PNG or WebP has them in its header; ValueError without one."""
    try:
        if data[:4] == b"\x89PNG":
            return struct.unpack_from(">II", data, 16)
        if data[:4] == b"RIFF":
            return _webp_size(data)
        return _jpeg_size(data)
    except (struct.error, IndexError) as error:
        raise ValueError("image cannot be decoded: it says no size") from error


def _webp_size(data: bytes | memoryview) -> tuple[int, int]:
    """By the first chunk (RFC 9649): an image with loss or without, or the canvas of several."""
    kind = bytes(data[12:16])
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF  # what is above them scales
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(data) >= 30:
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    raise IndexError(f"unknown chunk {kind!r}")


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Width and height by the first frame header (ITU-T T.81, B.2.2); IndexError without one."""
    at = 2
    while True:
        # As libjpeg does, skip whatever lies between segments, and fill bytes.
        while data[at] != 0xFF:
            at += 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 4)
            return width, height
        at += 1
        if marker not in (0x00, 0x01, *range(0xD0, 0xD9)):  # those have no length
            at += struct.unpack_from(">H", data, at)[0]


def _unchanged(data: bytes) -> np.ndarray:
    """Grey, RGB or RGBA, of as many bits as there are. Raises ValueError for what is no image."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError("image cannot be decoded")
        if image.ndim == 2:
            return image
        alpha = image.shape[2] == 4
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if alpha else cv2.COLOR_BGR2RGB)
    except cv2.error as error:
        raise ValueError(f"image cannot be decoded ({error.err})") from error


def _encode(extension: str, image: np.ndarray, parameters: tuple[int, ...]) -> bytes:
    # By OpenCV, which turns them round in a tenth of the time that numpy takes.
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    ok, data = cv2.imencode(extension, pixels, parameters)
    if not ok:
        raise ValueError(f"cannot encode {image.dtype}{image.shape} as {extension}")
    return data.tobytes()


# RGB straight from the decoder: OpenCV's own order would have to be turned round afterwards.
_COLOUR = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode_into(out: np.ndarray, data: memoryview | None, name: str) -> None:
    """Decode a JPEG or PNG: (H, W, 3) uint8 RGB, or (H, W) uint8 grey; 16-bit grey is rounded to 8.

    A grey image for an `out` of three channels is repeated in each.
    Raises BadSample, naming the member, if it is missing, damaged or of another size or kind.
    """
    if data is None:
        raise BadSample(f"{name}: missing")
    if not _is_whole(data):
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


def _is_whole(data: bytes | memoryview) -> bool:
    # OpenCV alone would fill the rest of a truncated image with grey, and say nothing.
    return (data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9") or (
        data[:4] == b"\x89PNG" and data[-8:-4] == b"IEND" and _chunks_fit(data)
    )


def _reaches_end(data: bytes) -> bool:
    """Whether a JPEG has its end marker, wherever: that of a thumbnail within does not count."""
    at = len(_JPEG_START)
    while data.startswith(_JPEG_START) and (found := _JPEG_MARKER.search(data, at)):
        at, marker = found.end(), data[found.end() - 1]
        if marker == 0xD9:
            return True
        if marker not in (0x01, 0xD8):  # those have no length
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _chunks_fit(data: bytes | memoryview) -> bool:
    # OpenCV takes the memory that a chunk claims, up to 4 GB, before it reads it.
    at, end = 8, len(data)
    while at + 12 <= end:
        at += 12 + _CHUNK_LENGTH.unpack_from(data, at)[0]
    return at == end


def _is_grey_png(data: memoryview) -> bool:
    # The colour type of the header: 0 is grey. OpenCV would cut 16 bits of it down to 8.
    return data[:4] == b"\x89PNG" and data[25] == 0
