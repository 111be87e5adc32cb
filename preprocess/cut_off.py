"""Files that end before their container says they do: downloads and copies that were not finished.

What each container promises: Matroska, MP4 and AVI the sizes of their parts, ASF the file's size,
Ogg a last page marked as such, GIF a last byte, a transport stream whole packets, a program stream
the lengths of its packets, IVF those of its frames and their number. Where there is another count
of frames, or a duration, `picture_index` compares it with what was read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from preprocess.matroska import end_of_matroska

__all__ = ["unfinished"]

_TAIL = 1 << 17
# Frames by which an IVF header's number may be off: it is rounded, or an average.
_IVF_SLACK = 2
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def unfinished(path: Path, container: str) -> str | None:
    """How a file is shorter than it says, or None where nothing tells so.

    `container` is FFmpeg's name of it. Raises OSError.
    """
    names = container.split(",")
    size = path.stat().st_size
    with open(path, "rb") as file:
        if "matroska" in names:
            wanted = end_of_matroska(file, size)
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
        elif "mpeg" in names:
            wanted = _end_of_program_stream(file, size)
        elif "ivf" in names:
            return _short_of_ivf(file, size)
        else:
            return None
    return f"{size} of {wanted} bytes are there" if wanted > size else None


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


def _end_of_program_stream(file: BinaryIO, size: int) -> int:
    """Where the last packet of an MPEG program stream ends; 0 where that is unknown."""
    tail = _tail(file, size, _TAIL)
    position = tail.find(b"\0\0\1\xba")
    while 0 <= position < len(tail):
        head = tail[position : position + 14]
        if head[:3] != b"\0\0\1":
            return 0  # no packets, or something was appended
        if len(head) < 6:
            return size - len(tail) + position + 6
        if head[3] == 0xB9:
            position += 4
        elif head[3] == 0xBA and head[4] >> 6 == 1:
            position += 14 + (head[13] & 7 if len(head) > 13 else 0)
        elif head[3] == 0xBA:
            position += 12
        elif head[3] < 0xBB:
            return 0
        else:
            position += 6 + int.from_bytes(head[4:6], "big")
    return size - len(tail) + position if position > 0 else 0


def _short_of_ivf(file: BinaryIO, size: int) -> str | None:
    """IVF's header has the number of frames, or that of the steps of time that they take."""
    file.seek(0)
    head = file.read(32)
    promised = int.from_bytes(head[24:28], "little")
    position, frames, stamps = int.from_bytes(head[6:8], "little"), 0, [0]
    while position < size:
        file.seek(position)
        head = file.read(12)
        position += 12 + int.from_bytes(head[:4], "little")
        if len(head) == 12 and position <= size:
            frames += 1
            stamps.append(int.from_bytes(head[4:12], "little"))
    span = max(stamps) - min(stamps[1:], default=0) + 1
    each = span / max(frames, 1)
    if promised != 0xFFFFFFFF and promised > max(frames, span) + _IVF_SLACK * each:
        return f"{frames} of {round(promised / each)} frames are there"
    return f"{size} of {position} bytes are there" if position > size else None


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(size - length, 0), os.SEEK_SET)
    return file.read(length)
