"""Files that end before their container says they do: downloads and copies that were not finished.

What each container promises: Matroska, MP4 and AVI the sizes of their parts, ASF the file's size,
Ogg a last page marked as such, GIF a last byte, a transport stream whole packets. Where there is a
count of frames, or a duration, `picture_index` compares it with what was read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["unfinished"]

_UNKNOWN = -1
_SEGMENT = 0x18538067
_TAIL = 1 << 17
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def unfinished(path: Path, container: str) -> str | None:
    """How a file is shorter than it says, or None where nothing tells so.

    `container` is FFmpeg's name of it. Raises OSError.
    """
    names = container.split(",")
    size = path.stat().st_size
    with path.open("rb") as file:
        if "matroska" in names:
            wanted = _end_of_matroska(file, size)
        elif "mov" in names:
            wanted = _end_of_boxes(file, size)
        elif "avi" in names:
            wanted = _end_of_riff(file, size)
        elif "asf" in names:
            wanted = _end_of_asf(file)
        elif "ogg" in names:
            return None if _ogg_is_whole(file, size) else "its last page is not marked as the last"
        elif "gif" in names:
            whole = _tail(file, size, 1 << 10).rstrip(b"\0").endswith(b"\x3b")
            return None if whole else "its end is missing"
        elif "mpegts" in names:
            return _half_packet(file, size)
        else:
            return None
    return f"{size} of {wanted} bytes are there" if wanted > size else None


def _end_of_matroska(file: BinaryIO, size: int) -> int:
    """Where the segment says it ends; where it does not, where its last cluster does."""
    position = 0
    while position < size:
        name, length, start = _element(file, position)
        if name is None:
            return position + 1  # cut off within an element's head
        if name == _SEGMENT and length == _UNKNOWN:
            position = start
            continue
        if length == _UNKNOWN:
            return 0  # a live recording: nothing says where it ends
        position = start + length
    return position


def _element(file: BinaryIO, position: int) -> tuple[int | None, int, int]:
    """An EBML element's name, length, and where its content starts."""
    file.seek(position)
    head = file.read(12)
    width = _vint_width(head)
    if not width or len(head) <= width:
        return None, 0, position
    name = int.from_bytes(head[:width], "big")
    rest = head[width:]
    more = _vint_width(rest)
    if not more or len(rest) < more:
        return None, 0, position
    value = int.from_bytes(rest[:more], "big") - (1 << 7 * more)
    length = _UNKNOWN if value == (1 << 7 * more) - 1 else value
    return name, length, position + width + more


def _vint_width(data: bytes) -> int:
    """Bytes of a variable-length number, by the leading zeros of its first; 0 for none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last box at the top of an MP4 ends."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 0:
            return size  # to the end of the file
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return position  # not a box: something was appended
        position += length
    return position


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk of an AVI ends; a recording that was never closed has size 0."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        head = file.read(12)
        if head[:4] != b"RIFF":
            break
        length = int.from_bytes(head[4:8], "little")
        if length in (0, 0xFFFFFFFF):
            return 0
        position += 8 + length
        if position > size:
            return position
        position += length % 2
    return 0


def _end_of_asf(file: BinaryIO) -> int:
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    fields = head[at + 24 : at + 104]  # behind the object's name and size
    if at < 0 or len(fields) < 72:
        return 0
    broadcast = int.from_bytes(fields[64:68], "little") & 1
    return 0 if broadcast else int.from_bytes(fields[16:24], "little")


def _ogg_is_whole(file: BinaryIO, size: int) -> bool:
    tail = _tail(file, size, _TAIL)
    at = tail.rfind(b"OggS")
    page = tail[at:] if at >= 0 else b""
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    length = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) >= length and bool(page[5] & 4)


def _half_packet(file: BinaryIO, size: int) -> str | None:
    head = file.read(204 * 6)
    for length, start in ((188, 0), (192, 4), (204, 0)):
        syncs = list(_bytes_at(head, start, length))
        if len(syncs) >= 3 and all(byte == 0x47 for byte in syncs):
            left = size % length
            return f"its last packet has {left} of {length} bytes" if left else None
    return None


def _bytes_at(data: bytes, start: int, step: int) -> Iterator[int]:
    for position in range(start, min(len(data), start + 6 * step), step):
        yield data[position]


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(size - length, 0), os.SEEK_SET)
    return file.read(length)
