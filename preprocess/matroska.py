"""Whether a Matroska file's parts lie as they say: where it ends, and where something is lost.

A demuxer that comes upon damage goes on at the next cluster, and what it skips it neither marks nor
reports as an error. The parts' sizes tell: each part begins where the one before it ends, within
the part that holds it.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["end_of_matroska", "losses"]

_UNKNOWN = -1
_HEADER = 0x1A45DFA3
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_TRACKS = 0x1654AE6B
_TRACK, _TRACK_NUMBER, _TRACK_TYPE, _VIDEO = 0xAE, 0xD7, 0x83, 1
_SIMPLE_BLOCK = 0xA3
_BLOCK_GROUP = 0xA0
_LACED = 0x06
_ANYWHERE = (0xEC, 0xBF)  # Void, CRC-32
# Parts of a segment: SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags.
_IN_SEGMENT = frozenset(
    (0x114D9B74, 0x1549A966, _TRACKS, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _CLUSTER)
    + _ANYWHERE
)
# Parts of a cluster: Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, EncryptedBlock.
_IN_CLUSTER = frozenset((0xE7, 0x5854, 0xA7, 0xAB, _SIMPLE_BLOCK, 0xAF, _BLOCK_GROUP) + _ANYWHERE)


def end_of_matroska(file: BinaryIO, size: int) -> int:
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


def losses(path: Path) -> list[int]:
    """The bytes at which the parts of a file no longer fit, rising; none in a whole one.

    What lies between such a place and the next cluster cannot be read. A file that merely ends
    early has none. Raises OSError.
    """
    size = path.stat().st_size
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return list(_losses(data, size))


def _losses(data: mmap.mmap, size: int) -> Iterator[int]:
    position, cluster_end, in_cluster = 0, _UNKNOWN, False
    tracks: dict[int, int] = {}
    while position < size:
        if in_cluster and position == cluster_end:
            in_cluster = False
        name, length, start = _element(data, position)
        if in_cluster and cluster_end == _UNKNOWN and name in _IN_SEGMENT - _IN_CLUSTER:
            in_cluster = False
        expected = _IN_CLUSTER if in_cluster else _IN_SEGMENT | {_HEADER, _SEGMENT}
        end = start + length
        limit = cluster_end if in_cluster and cluster_end != _UNKNOWN else size
        nested = name in (_SEGMENT, _CLUSTER)
        cut_off = nested or limit > size or length == _UNKNOWN
        if name in expected and (length != _UNKNOWN or nested) and (end <= limit or cut_off):
            if name == _TRACKS:
                tracks = _tracks(data, start, end)
            elif (
                name == _SIMPLE_BLOCK
                and tracks
                and not _is_block(data[start : min(end, start + 12)], tracks)
            ):
                yield position
            elif name == _CLUSTER:
                in_cluster, cluster_end = True, _UNKNOWN if length == _UNKNOWN else end
            position = start if nested else end
            continue
        following = data.find(_CLUSTER.to_bytes(4, "big"), position + 1)
        whole = in_cluster and cluster_end != _UNKNOWN and cluster_end <= size
        if following >= 0 or whole:
            yield position
        if following < 0:
            return
        position, in_cluster = following, False


def _tracks(data: mmap.mmap, start: int, end: int) -> dict[int, int]:
    """The tracks' numbers, with their kinds."""
    found = {}
    for name, first, last in _parts(data, start, end):
        if name == _TRACK:
            of = {n: int.from_bytes(data[a:b], "big") for n, a, b in _parts(data, first, last)}
            found[of.get(_TRACK_NUMBER, 0)] = of.get(_TRACK_TYPE, 0)
    return found


def _parts(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        name, length, first = _element(data, start)
        if name is None or length == _UNKNOWN:
            return
        start = first + length
        yield name, first, min(start, end)


def _is_block(head: bytes, tracks: dict[int, int]) -> bool:
    """Whether a block is one of a track's; pictures do not come several in a block (lacing)."""
    width = _vint_width(head)
    if not width or len(head) < width + 3:
        return False
    kind = tracks.get(int.from_bytes(head[:width], "big") - (1 << 7 * width))
    return kind is not None and not (kind == _VIDEO and head[width + 2] & _LACED)


def _element(file: BinaryIO | mmap.mmap, position: int) -> tuple[int | None, int, int]:
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
