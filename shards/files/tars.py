"""Tars whose bytes depend on their members alone, and careful reading of tars from anywhere."""

import io
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from shards.errors import BadTar, UnsafeMember

__all__ = ["TarWriter", "iter_headers", "members_of", "read_members"]

_BLOCK = tarfile.BLOCKSIZE
_MODE = 0o644
_LONGEST_PLAIN, _MOST_PLAIN = 100, 8**11 - 1  # a name and a size that a header has room for


class Writable(Protocol):
    """All that writing a tar asks of a file."""

    def write(self, data: bytes) -> int: ...

    def tell(self) -> int: ...


class TarWriter:
    """Writes members to a file, with fixed times, owners and modes.

    `offset` is where the next member's header will start.
    """

    def __init__(self, file: Writable) -> None:
        self._file = file
        self.offset = file.tell()

    def add(self, name: str, data: bytes) -> None:
        """Append one regular file."""
        for part in (_header(name, len(data)), data, bytes(-len(data) % _BLOCK)):
            self._file.write(part)
            self.offset += len(part)

    def close(self) -> None:
        """Write the end marker, up to a whole record; the file itself stays open."""
        end = 2 * _BLOCK
        self._file.write(bytes(end + -(self.offset + end) % tarfile.RECORDSIZE))


def _empty_header() -> bytes:
    info = tarfile.TarInfo("")
    info.mode = _MODE
    return info.tobuf(tarfile.PAX_FORMAT)


_PLAIN_HEADER = _empty_header()


def _header(name: str, size: int) -> bytes:
    """What stands before a member's bytes, as tarfile would write it."""
    if size <= _MOST_PLAIN and len(name) <= _LONGEST_PLAIN and name.isascii():
        # In a fifth of the time; samples have a hundred members.
        before, after = _PLAIN_HEADER[100:124], _PLAIN_HEADER[136:148]
        first = name.encode().ljust(100, b"\0") + before + b"%011o\0" % size + after
        total = sum(first) + 8 * 32 + sum(_PLAIN_HEADER[156:])
        return first + b"%06o\0 " % total + _PLAIN_HEADER[156:]
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, _MODE
    return info.tobuf(tarfile.PAX_FORMAT)


@dataclass(frozen=True)
class Member:
    """One regular file in a tar: its name, where its header starts, where its data lies."""

    name: str
    offset: int
    data_offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next header starts."""
        return self.data_offset + -(-self.size // _BLOCK) * _BLOCK


def iter_headers(file: BinaryIO, *, label: str) -> Iterator[Member]:
    """The members of an uncompressed tar, data unread; `label` names the tar in errors.

    Raises UnsafeMember at a member that is no plain file in the tar's root (links, devices,
    folders, absolute names, `..`), and BadTar where the tar breaks off or turns to garbage.
    """
    # The check comes first: tarfile itself takes garbage after a member for the tar's end.
    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if info.size < 0:
                    raise ValueError(f"a member of {info.size} bytes")
                _check_safe(info, label)
                member = Member(info.name, info.offset, info.offset_data, info.size)
                end = member.end
                yield member
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        if not end and (by := _compressed_by(file)):
            raise BadTar(
                f"{label}: is compressed by {by}, and clips are read where they lie: unpack it "
                "first, to a plain .tar"
            ) from error
        raise BadTar(f"{label}: is no tar, or cut short, near byte {end} ({error})") from error
    file.seek(end)
    if any(file.read(_BLOCK)):
        raise BadTar(f"{label}: garbage at byte {end}, where a member or the end should be")


def read_members(data: bytes, *, label: str) -> list[tuple[str, bytes]]:
    """`(name, bytes)` of the members in a range of a tar that starts and ends between members.

    Raises as `iter_headers`, and BadTar when the range does not end where a member ends.
    """
    members = []
    end = 0
    for member in iter_headers(io.BytesIO(data), label=label):
        members.append((member.name, data[member.data_offset : member.data_offset + member.size]))
        end = member.end
    if end != len(data):
        raise BadTar(f"{label}: members fill {end} bytes of a range of {len(data)}")
    return members


def _compressed_by(file: BinaryIO) -> str | None:
    file.seek(0)
    first = file.read(6)
    return next((by for by, magic in _COMPRESSED.items() if first.startswith(magic)), None)


def _check_safe(info: tarfile.TarInfo, label: str) -> None:
    fault = None
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kinds = {"a link": info.issym() or info.islnk(), "a folder": info.isdir()}
        kinds["a device"] = info.isdev()
        fault = next((kind for kind, applies in kinds.items() if applies), "no plain file")
    elif info.name.startswith("/") or ".." in info.name.split("/"):
        fault = "named to leave its folder"
    elif not info.name or info.name.startswith(".") or set(info.name) & set("/\\:"):
        fault = "not named as a plain file"
        if info.name.startswith("./"):
            fault += " (pack the files by their names alone: tar --sort=name -cf NEW.tar *)"
    elif not info.name.isprintable():
        fault = "named with unprintable characters"
    if fault is not None:
        raise UnsafeMember(f"{label}: member {info.name!r} is {fault}; refused")


_COMPRESSED = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zstd": b"\x28\xb5\x2f\xfd",
}

# Name, size, checksum, type, magic, prefix of a folder (POSIX 1003.1, ustar interchange format).
_HEADER = struct.Struct("100s24x12s12x8sc100x5s83x155s12x")
_ZEROS = bytes(155)
# Printable ASCII that names no folder or drive, and no hidden file.
_PLAIN = re.compile(rb"(?!\.)[ -.0-9;-\[\]-~]+")
_ADLER = 65521


def members_of(data: bytes, *, label: str) -> dict[str, memoryview]:
    """Members by name, as views of `data`, which starts and ends between members.

    Raises BadTar or UnsafeMember as `read_members`, and BadTar when a name comes twice.
    """
    found = _plain_members(data)
    if found is None:
        found = [(name, memoryview(body)) for name, body in read_members(data, label=label)]
    members = dict(found)
    if len(members) != len(found):
        raise BadTar(f"{label}: duplicate member name")
    return members


def _plain_members(data: bytes) -> list[tuple[str, memoryview]] | None:
    """None for what is not a sequence of plain files with plain names."""
    view = memoryview(data)
    members = []
    at = 0
    long_name = None
    while at + _BLOCK <= len(data):
        name, size_field, sum_field, kind, magic, prefix = _HEADER.unpack_from(data, at)
        try:
            size, checksum = int(size_field.rstrip(b"\0 "), 8), int(sum_field.rstrip(b"\0 "), 8)
        except ValueError:
            return None
        if size < 0:  # Python reads signs too
            return None
        if magic != b"ustar" or prefix != _ZEROS or not _adds_up(data[at : at + _BLOCK], checksum):
            return None
        start = at + _BLOCK
        at = start + -(-size // _BLOCK) * _BLOCK
        if kind in (b"x", b"L") and long_name is None:
            body = data[start : start + size]
            if kind == b"L" and body[-1:] != b"\0":  # tarfile reads on to the next zero
                return None
            long_name = _pax_name(body) if kind == b"x" else body.rstrip(b"\0")
            if long_name is None:
                return None
        elif kind == b"0":
            name = name.rstrip(b"\0") if long_name is None else long_name
            if _PLAIN.fullmatch(name) is None:
                return None
            members.append((name.decode("ascii"), view[start : start + size]))
            long_name = None
        else:
            return None
    return members if at == len(data) and long_name is None else None


def _adds_up(header: bytes, checksum: int) -> bool:
    # The lower half of Adler-32 is 1 + the sum of all bytes, modulo a prime, thirty times faster
    # than Python's sum. The header's own checksum counts its eight digits as blanks.
    total = (zlib.adler32(header) & 0xFFFF) - sum(header[148:156]) + 8 * 32
    return (total - 1 - checksum) % _ADLER == 0


def _pax_name(records: bytes) -> bytes | None:
    """The name in pax records, when that is all that they say."""
    length, _, record = records.partition(b" ")
    if not length.isdigit() or int(length) != len(records) or record[-1:] != b"\n":
        return None
    keyword, _, value = record[:-1].partition(b"=")
    return value if keyword == b"path" else None
