"""What a viewer shows of an image file, and which image files are damaged.

OpenCV decodes what most data sets hold, as fast as anything here: JPEG, and PNG and WebP of eight
bits without transparency. Pillow decodes the rest. Both are asked to be strict, and where a library
shows a damaged image all the same, the image is refused here: half of its pixels may be wrong.
"""

from __future__ import annotations

import atexit
import io
import os
import struct
import tempfile
import warnings
import zlib
from contextlib import suppress
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from preprocess.errors import ClipError
from preprocess.hdr import HLG, PQ
from preprocess.picture import ON_WHITE, WHITE, laid_on
from shards.files.native_stderr import STDERR, stderr_to
from shards.sample.images import declared_size

__all__ = ["decode_image", "jpeg_damage"]

# Colours that differ by no more than this, of 255, are the same in practice.
_SAME_COLOUR = 3
# Of an image: 400 MB of colours.
_MOST_PIXELS = 1 << 27
_SEVERAL = "the first of several images in its file"
_END_OF_JPEG = b"\xff\xd9"


def decode_image(
    content: bytes, name: str, *, data: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W, 3) uint8 RGB from an image file's bytes, upright, and notes of what was done.

    Transparency is laid on white, and colours of another space (Display P3, CMYK) become sRGB.
    `data` tells that the pixels are numbers, as of masks: their colours stay as they are, and what
    is transparent is zero. `name` is what the ClipError calls an image that is damaged, or whose
    pixels are not those of a picture.
    """
    if not content:
        raise ClipError(f"{name} is empty")
    if content.startswith((b"\xff\xd8", _PNG, b"RIFF")):
        with suppress(ValueError):  # without a size no decoder takes it
            _check_pixels(*declared_size(content), name)
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content, name, data)
        if content.startswith(_PNG):
            _check_png(content, name)
        if _is_plain(content):
            return _by_opencv(content, name), ()
        return _by_pillow(content, name, data)
    except cv2.error as error:  # such as too many pixels
        raise ClipError(f"{name} cannot be decoded as an image: {error.err}") from error


def _check_pixels(width: int, height: int, name: str) -> None:
    """Before decoding: a file of a megabyte can claim, and take, gigabytes."""
    if width * height > _MOST_PIXELS:
        raise ClipError(
            f"{name} is {width}x{height}, more than {_MOST_PIXELS} pixels: make it smaller first"
        )


def _by_opencv(content: bytes, name: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ClipError(f"{name} is not an image that can be decoded")
    return image


def _by_pillow(content: bytes, name: str, data: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if _is_hdr(content):
        raise ClipError(
            f"{name} is an HDR image (PQ or HLG), which is not converted: save it as sRGB"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "Truncated File Read")
            with Image.open(io.BytesIO(content)) as image:
                _check_pixels(*image.size, name)
                notes = [_SEVERAL] if getattr(image, "is_animated", False) else []
                image.load()
                profile = image.info.get("icc_profile") or b""
                upright = ImageOps.exif_transpose(image)
                if image.format == "TGA" and image.mode in ("RGBA", "LA") and not content[17] & 15:
                    upright = upright.convert("RGB")  # the last byte is no alpha
                pixels = _pixels(upright, name)
    except UnidentifiedImageError as error:
        raise ClipError(f"{name} is not an image that can be decoded") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything for damaged files
        raise (
            error
            if isinstance(error, ClipError)
            else ClipError(f"{name} cannot be decoded as an image: {error}")
        ) from error
    if isinstance(pixels, np.ndarray):
        rgb, more = _flat(pixels, profile, data)
    else:
        rgb, more = _from_inks(pixels, profile)
    return rgb, (*notes, *more)


def _pixels(image: Any, name: str) -> Any:
    """(H, W, 3 or 4) uint8; an image of inks or of Lab colours as Pillow has it."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        grey = np.asarray(image).astype(np.uint32)
        alpha = 255 - 255 * (grey == image.info.get("transparency", -1)).astype(np.uint8)
        return np.dstack([(grey >> 8).astype(np.uint8)] * 3 + [alpha])
    if image.mode in ("I", "F"):
        raise ClipError(f"{name} holds numbers of 32 bits, which are no picture")
    if image.mode in ("CMYK", "LAB"):
        return image
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _flat(pixels: np.ndarray, profile: bytes, data: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """RGB in sRGB, opaque, of pixels with or without alpha."""
    notes = []
    if profile and not data and (transform := _to_srgb(profile, "RGB")):
        from PIL import Image, ImageCms

        converted = ImageCms.applyTransform(Image.fromarray(pixels[..., :3]), transform.apply)
        pixels = np.dstack([np.asarray(converted), pixels[..., 3:]])
        notes.append(f"converted from {transform.name} to sRGB")
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels), tuple(notes)
    rgb, laid = laid_on(pixels, 0 if data else WHITE)
    return rgb, (*notes, ON_WHITE) if laid else tuple(notes)


def _from_inks(image: Any, profile: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    from PIL import ImageCms

    if transform := _to_srgb(profile, image.mode):
        converted = ImageCms.applyTransform(image, transform.apply)
        return np.asarray(converted), (f"converted from {transform.name} to sRGB",)
    if image.mode == "LAB":
        lab = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
        return np.asarray(ImageCms.applyTransform(image, lab)), ("converted from Lab to sRGB",)
    return np.asarray(image.convert("RGB")), (f"converted from {image.mode} to sRGB",)


class _Transform:
    """From a profile's colours to sRGB; `name` is what the profile calls them."""

    def __init__(self, apply: Any, name: str) -> None:
        self.apply, self.name = apply, name


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> _Transform | None:
    """None for a profile that cannot be read, is of other colours, or is sRGB itself."""
    from PIL import Image, ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(opened).strip()
        apply = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mode == "RGB":
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(9, 81, 3)
        shown = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), apply))
        if np.abs(shown.astype(int) - cube).max() <= _SAME_COLOUR:
            return None
    return _Transform(apply, name or "another colour space")


_PNG = b"\x89PNG\r\n\x1a\n"


def _is_plain(content: bytes) -> bool:
    """Whether OpenCV shows the PNG or WebP file as it is: opaque, in sRGB, alone in its file."""
    if content.startswith(_PNG):
        depth, colours = content[24:26]
        head = content[: content.find(b"IDAT")]
        special = (b"tRNS", b"iCCP", b"cICP", b"acTL")
        return depth == 8 and colours in (0, 2, 3) and not any(chunk in head for chunk in special)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        if content[12:16] == b"VP8 ":
            return True
        if content[12:16] == b"VP8L":
            return len(content) > 24 and not content[24] >> 4 & 1  # its alpha bit
        return content[12:16] == b"VP8X" and not content[20] & (0x20 | 0x10 | 0x02)
    return False


def _check_png(content: bytes, name: str) -> None:
    """Raises ClipError for a chunk that is cut off or has another checksum than it says."""
    at, end = len(_PNG), len(content)
    while at + 12 <= end:
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        if at + 12 + length > end:
            break
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        needed = not kind[0] & 0x20  # the pixels depend on it
        if needed and zlib.crc32(memoryview(content)[at + 4 : at + 8 + length]) != checksum:
            raise ClipError(f"{name} is damaged: its PNG chunk {kind!r} has a wrong checksum")
        if kind == b"IEND":
            return
        at += 12 + length
    raise ClipError(f"{name} is cut off: it has {end} bytes and no end of a PNG file")


def _is_hdr(content: bytes) -> bool:
    """By the colour information of PNG (`cICP`) and of AVIF (`nclx`)."""
    if content.startswith(_PNG):
        at = content.find(b"cICP", 0, content.find(b"IDAT"))
        return at > 0 and content[at + 5] in (PQ, HLG)
    if content[4:8] == b"ftyp":
        at = content.find(b"colrnclx")
        return at > 0 and int.from_bytes(content[at + 10 : at + 12], "big") in (PQ, HLG)
    return False


def _jpeg(content: bytes, name: str, data: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    components, profile = _jpeg_header(content)
    image, complaint = _with_complaints(content)
    if image is None and _END_OF_JPEG not in content[-2:]:
        # The two bytes of the end marker may be all that is missing.
        image, complaint = _with_complaints(content + _END_OF_JPEG)
        if image is not None and complaint:
            raise ClipError(f"{name} is cut off: {complaint}")
    if image is None:
        raise ClipError(f"{name} is not an image that can be decoded")
    if complaint and _damages(complaint, content):
        raise ClipError(f"{name} is damaged: {complaint}")
    if components == 4 or (components == 1 and profile):
        return _by_pillow(content, name, data)
    return _flat(image, profile, data)


def _jpeg_header(content: bytes) -> tuple[int, bytes]:
    """How many colours a pixel has, 0 where that is not said, and the ICC profile."""
    parts: dict[int, bytes] = {}
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at + 4 : at + 2 + length]
        if marker == 0xE2 and segment.startswith(b"ICC_PROFILE\0") and len(segment) > 14:
            parts[segment[12]] = segment[14:]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            colours = segment[5] if len(segment) > 5 else 0
            return colours, b"".join(parts[number] for number in sorted(parts))
        if marker == 0xDA or length < 2:
            break
        at += 2 + length
    return 0, b""


def _damages(complaint: str, content: bytes) -> bool:
    """Whether what libjpeg complains of means that pixels are wrong.

    Unknown revisions and broken colour profiles do not; nor does padding before the end marker,
    which some cameras write.
    """
    if complaint.startswith("Premature end"):
        return True
    if not complaint.startswith("Corrupt JPEG data") or "bad ICC marker" in complaint:
        return False
    words = complaint.split()
    if "extraneous" in words and words[-1] == "0xd9":
        count = int(words[words.index("extraneous") - 1])
        end = content.rfind(_END_OF_JPEG)
        return bool(content[max(end - count, 0) : end].strip(b"\0\xff"))
    return True


def jpeg_damage(content: bytes) -> str:
    """What libjpeg says is wrong with a JPEG's pixels; "" for nothing, or where it cannot tell.

    All of it is read, an eighth of it computed.
    """
    image, complaint = _with_complaints(content, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return complaint if image is not None and complaint and _damages(complaint, content) else ""


def _with_complaints(
    content: bytes, flags: int = cv2.IMREAD_COLOR_RGB
) -> tuple[np.ndarray | None, str]:
    """The image, and what libjpeg says is wrong with it.

    OpenCV returns what libjpeg made of damaged data and lets it complain on the process's file 2:
    nothing else tells. What others write there meanwhile is passed on.
    """
    with STDERR:
        complaints = _complaints(os.getpid())
        complaints.seek(0)
        complaints.truncate()
        with stderr_to(complaints.fileno()) as stderr:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").splitlines(keepends=True)
    said = [line.strip() for line in lines if _is_of_libjpeg(line)]
    others = "".join(line for line in lines if not _is_of_libjpeg(line))
    if others and image is not None and stderr is not None:
        os.write(2, others.encode())
    return image, said[0] if said else ""


@lru_cache(maxsize=1)
def _complaints(process: int) -> Any:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 as long as the process
    # Whatever is open when Python ends is a warning; a forked process keeps its parent's as well.
    atexit.register(file.close)
    return file


def _is_of_libjpeg(line: str) -> bool:
    begins = ("Corrupt JPEG data", "Premature end of JPEG", "Warning:", "Inconsistent progression")
    return line.startswith((*begins, "Unknown Adobe", "Invalid SOS"))
