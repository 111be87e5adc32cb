"""Pictures in tar files, read by their offsets: a plain reader of headers, nothing is unpacked."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocess.errors import ClipError
from preprocess.frames import Frame, decode_image
from preprocess.sources.files import PICTURE_SUFFIXES
from shards.files.digest import sha256

__all__ = ["TarPicture", "scan_tar"]

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class TarPicture:
    """A picture in an uncompressed tar file, as a video of one frame."""

    tar: str
    name: str
    offset: int
    size: int

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        name = f"{self.tar}: {self.name}"
        try:
            with open(self.tar, "rb", buffering=0) as opened:
                content = os.pread(opened.fileno(), self.size, self.offset)
        except OSError as error:
            raise ClipError(f"{name}: {error.strerror or error}") from error
        for index in indices:
            yield Frame(index, decode_image(content, name), 0.0)

    def fingerprint(self) -> str:
        """Of the picture's name, place and size."""
        text = f"{self.name} {self.offset} {self.size}"
        return sha256(text.encode(errors="surrogateescape"))


def scan_tar(path: Path) -> tuple[list[TarPicture], str | None]:
    """The pictures of a tar file in its order, and what is wrong with the file, if anything.

    As in WebDataset a member's suffix is all that follows its name's first dot: `1.jpg` is a
    picture, `1.mask.png` belongs to one. Raises OSError when the file cannot be read.
    """
    tar = str(path)
    pictures: list[TarPicture] = []
    try:
        for name, offset, size in _members(path):
            base = posixpath.basename(name)
            if not base.startswith(".") and f".{base.partition('.')[2]}".lower() in (
                PICTURE_SUFFIXES
            ):
                pictures.append(TarPicture(tar, name, offset, size))
    except ValueError as error:
        return pictures, f"{path} {error}; {len(pictures)} pictures before that are used"
    return pictures, None


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of each regular file. Raises ValueError where the tar is damaged."""
    total = path.stat().st_size
    with open(path, "rb", buffering=1 << 16) as opened:
        position = 0
        renamed: str | None = None
        resized: int | None = None
        while header := opened.read(_BLOCK):
            if not header.strip(b"\0"):
                return
            if len(header) < _BLOCK:
                raise ValueError(f"is cut off at byte {position}")
            kind, data = header[156:157], position + _BLOCK
            size = resized if resized is not None and kind in b"0\0" else _number(header[124:136])
            # The sum is taken with spaces in its own place.
            expected = sum(header) - sum(header[148:156]) + sum(b" " * 8)
            if size < 0 or _number(header[148:156]) != expected:
                raise ValueError(f"is no tar file, or damaged, at byte {position}")
            if data + size > total:
                raise ValueError(f"is cut off in {renamed or _name(header)}")
            if kind in b"Lx":
                content = opened.read(size)
                if kind == b"L":
                    renamed = _text(content)
                else:
                    renamed, resized = _pax(content, renamed)
            else:
                if kind in b"0\0":
                    yield renamed or _name(header), data, size
                renamed = resized = None
            position = data + -(-size // _BLOCK) * _BLOCK
            opened.seek(position)


def _number(field: bytes) -> int:
    """An octal number, or a binary one as sizes beyond 8 GB have it; -1 for neither."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if re.fullmatch(rb"[0-7]*", digits) else -1


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _pax(content: bytes, name: str | None) -> tuple[str | None, int | None]:
    """The name and size in a pax header, of records `length keyword=value` and a line end."""
    size = None
    while content:
        length = int(content.partition(b" ")[0])
        keyword, _, value = content[:length].partition(b" ")[2].rstrip(b"\n").partition(b"=")
        if keyword == b"path":
            name = value.decode(errors="surrogateescape")
        elif keyword == b"size":
            size = int(value)
        if length <= 0:
            raise ValueError("has a damaged pax header")
        content = content[length:]
    return name, size
