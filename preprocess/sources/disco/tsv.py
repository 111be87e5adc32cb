"""TSV files of pictures, `key <tab> base64`, read by byte offset and never held in memory.

Tens of gigabytes are usual. Where each line starts comes from the `.lineidx` file beside it, if
that fits, and from one pass over the file otherwise.
"""

from __future__ import annotations

import base64
import binascii
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from preprocess.errors import ClipError
from preprocess.frames import Frame, decode_image
from shards.files.digest import sha256

__all__ = ["MISSING", "TsvIndex", "TsvPictures", "index_tsv", "picture_of_line"]

MISSING = -1  # the offset of a line that is not there

_CHUNK = 1 << 22
_HEAD = 512  # bytes in which a line's key must end
_LONGEST_LINE = 1 << 28
_LEAST_PICTURE = 64  # characters; the smallest PNG takes more


@dataclass(frozen=True, eq=False)
class TsvIndex:
    """Where the pictures of a TSV file are: line i has `keys[i]` at byte `offsets[i]`.

    Lines without a key or a picture keep their place and have the key None, because other files
    count lines. `faults` says what was wrong with them.
    """

    path: Path
    keys: list[str | None]
    offsets: array[int]
    lengths: array[int]
    faults: tuple[str, ...]
    rows: dict[str, int] = field(repr=False)  # line by key

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class TsvPictures:
    """Frames that are lines of a TSV file, already in order; a `FrameReader`."""

    path: Path
    keys: tuple[str, ...]
    offsets: tuple[int, ...]  # MISSING where the file has no such key
    lengths: tuple[int, ...]
    fps: float

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        try:
            with open(self.path, "rb", buffering=0) as opened:
                for index in indices:
                    yield Frame(index, self._picture(opened.fileno(), index), index / self.fps)
        except OSError as error:
            raise ClipError(f"{self.path}: {error.strerror or error}") from error

    def _picture(self, file: int, index: int) -> np.ndarray:
        key, name = self.keys[index], f"{self.path}: {self.keys[index]}"
        if self.offsets[index] == MISSING:
            raise ClipError(f"{self.path} has no picture for {key}")
        line = os.pread(file, self.lengths[index], self.offsets[index])
        if _key(line) != key:
            raise ClipError(f"{name} is not where it was listed: the file has changed")
        return decode_image(picture_of_line(line, name), name)

    def fingerprint(self) -> str:
        """Of the lines' keys and lengths."""
        lines = repr(list(zip(self.keys, self.lengths, strict=True)))
        return sha256(lines.encode(errors="surrogateescape"))


def index_tsv(path: Path) -> TsvIndex:
    """Find the lines of a TSV file. Raises OSError when it cannot be read."""
    offsets, lengths = array("q"), array("q")
    keys: list[str | None] = []
    rows: dict[str, int] = {}
    faults: dict[str, list[int]] = {}
    for offset, length, head in _by_lineidx(path) or _by_scan(path):
        key = _key(head)
        row = len(keys)
        offsets.append(offset)
        lengths.append(length)
        keys.append(None)
        if not head.strip():
            continue
        if key is None:
            faults.setdefault("without a key and a tab", []).append(row)
        elif length - len(head.partition(b"\t")[0]) < _LEAST_PICTURE:
            faults.setdefault("without a picture", []).append(row)
        elif key in rows:
            faults.setdefault("whose key an earlier line has", []).append(row)
        else:
            keys[row] = key
            rows[key] = row
    described = tuple(
        f"{path} has {len(lines)} lines {fault}, the first is line {lines[0] + 1}"
        for fault, lines in faults.items()
    )
    return TsvIndex(path, keys, offsets, lengths, described, rows)


def picture_of_line(line: bytes, name: str) -> bytes:
    """The image file in a line; `name` is what the ClipError calls it.

    The columns are a key, base64, and of masks perhaps whether it is valid: `False` where nobody
    was found.
    """
    columns = line.rstrip(b"\r\n").split(b"\t")[1:]
    if len(columns) > 1 and columns[-1].strip() == b"False":
        raise ClipError(f"{name} is marked as not valid")
    text = max(columns, key=len, default=b"").strip()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ClipError(f"{name} is not base64: {error}") from error


def _key(head: bytes) -> str | None:
    key, tab, _ = head.removeprefix(b"\xef\xbb\xbf").partition(b"\t")
    text = key.strip().decode(errors="surrogateescape")
    return text if tab and text else None


def _by_scan(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length without the line end, first bytes) of each line, in one pass."""
    with open(path, "rb", buffering=0) as opened:
        start = position = 0
        head = b""
        while chunk := opened.read(_CHUNK):
            at = 0
            while (end := chunk.find(b"\n", at)) >= 0:
                head += chunk[at : min(end, at + _HEAD)]
                yield start, position + end - start, head[:_HEAD]
                at, head = end + 1, b""
                start = position + at
            head = (head + chunk[at : at + _HEAD])[:_HEAD]
            position += len(chunk)
        if position > start:
            yield start, position - start, head


def _by_lineidx(path: Path) -> list[tuple[int, int, bytes]]:
    """The same by the offsets in `.lineidx`, or nothing where there is none that fits the file."""
    try:
        offsets = _increasing(map(int, path.with_suffix(".lineidx").read_text().split()))
        size = path.stat().st_size
        lines = []
        with open(path, "rb") as opened:
            opened.seek(offsets[-1])
            tail = opened.readline(_LONGEST_LINE)
            if offsets[-1] + len(tail) != size:
                return []  # lines were added since
            for start, end in zip(
                offsets, [*offsets[1:], size + (tail[-1:] != b"\n")], strict=True
            ):
                head = os.pread(opened.fileno(), _HEAD + 1, max(start - 1, 0))
                before, head = (head[:1], head[1:]) if start else (b"\n", head[:_HEAD])
                if before != b"\n":
                    return []
                key, tab, _ = head[: end - start - 1].partition(b"\t")
                lines.append((start, end - start - 1, key + tab))
        return lines
    except (OSError, ValueError, IndexError):
        return []


def _increasing(offsets: Iterable[int]) -> list[int]:
    """The offsets. Raises ValueError unless they start at 0 and increase."""
    listed = list(offsets)
    if listed[:1] != [0] or any(a >= b for a, b in pairwise(listed)):
        raise ValueError("not offsets of lines")
    return listed
