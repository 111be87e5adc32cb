"""TensorFlow's tensor bundles, the checkpoints of `Saver` in TF 1 and 2, read without TensorFlow.

`{prefix}.index` is a LevelDB table from variable names to protocol buffer messages that say where
in `{prefix}.data-00000-of-00001`, ... the raw little-endian values lie.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import google_crc32c
import numpy as np

from preprocess.errors import InputError

__all__ = ["load_tensor_bundle", "masked_crc32c"]

_BFLOAT16 = 14
# TensorFlow's DataType numbers. Quantised integers read as the integers they are.
_DTYPES = (
    {1: "<f4", 2: "<f8", 19: "<f2", 8: "<c8", 18: "<c16", 10: "?"}
    | {6: "<i1", 5: "<i2", 3: "<i4", 9: "<i8", 4: "<u1", 17: "<u2", 22: "<u4", 23: "<u8"}
    | {11: "<i1", 12: "<u1", 13: "<i4", 15: "<i2", 16: "<u2", _BFLOAT16: "<u2"}
)
_NOT_NUMBERS = {7, 20, 21}  # strings, resources, variants


@dataclass(frozen=True)
class _Entry:
    """One variable: what it is and where its bytes lie. `crc` is 0 where none was recorded."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: int = 0


def load_tensor_bundle(prefix: str | PathLike[str]) -> dict[str, np.ndarray]:
    """Read every variable of the checkpoint `{prefix}.index`, `{prefix}.data-*`.

    Shapes and types are the checkpoint's; bfloat16, which numpy lacks, is widened to float32
    without loss. Entries that are no numbers (TF 2 keeps its object graph as a string) are left
    out. Checksums are compared where the writer recorded them.

    Raises InputError naming the file, and the variable where there is one, when a file is absent,
    cut off or damaged, or uses what is not supported: compressed blocks, partitioned variables,
    big-endian data, 8-bit and 4-bit floats and integers packed below a byte.
    """
    index = Path(f"{fspath(prefix)}.index")
    shards, entries = _read_index(index)
    variables = {}
    for name, entry in entries.items():
        if entry.dtype in _NOT_NUMBERS:
            continue
        if not 0 <= entry.shard < shards:
            raise InputError(f"{index} is damaged: {name} lies in data file {entry.shard}")
        data = Path(f"{fspath(prefix)}.data-{entry.shard:05d}-of-{shards:05d}")
        variables[name] = _read_values(data, name, entry)
    return variables


def _read_index(path: Path) -> tuple[int, dict[str, _Entry]]:
    """How many data files there are, and the entries by name."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist: a checkpoint is given by its prefix, the part of its files' "
            f"names before .index and .data-00000-of-00001"
        ) from error
    try:
        table = dict(read_table(content))
        if b"" not in table:
            raise TableError("has no header: it is a table, and not of a tensor bundle")
        header = dict(_fields(table.pop(b"")))
        if header.get(2, 0):
            raise TableError("holds big-endian data, which is not supported")
        # A key that starts with 0 names a slice of a variable that has an entry of its own.
        count = int(header.get(1, 1))
        entries = {k.decode(): _entry(v) for k, v in table.items() if not k.startswith(b"\0")}
    except (ValueError, TypeError) as error:  # TableError is one of the former
        what = str(error) if isinstance(error, TableError) else f"is damaged: {error}"
        raise InputError(
            f"{path} {what}. Copy the checkpoint again if it was cut short."
        ) from error
    for name, entry in entries.items():
        if entry.slices:
            raise InputError(
                f"{path}: {name} is a partitioned variable of {entry.slices} slices, which is not "
                f"supported: save it whole"
            )
    return count, entries


def _entry(message: bytes) -> _Entry:
    """Decode a BundleEntryProto."""
    numbers: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    slices = 0
    for field, value in _fields(message):
        if field == 2 and isinstance(value, bytes):
            dims = [d for number, d in _fields(value) if number == 2 and isinstance(d, bytes)]
            shape = tuple(int(dict(_fields(dim)).get(1, 0)) for dim in dims)
        elif field == 7:
            slices += 1
        elif isinstance(value, int):
            numbers[field] = value
    dtype, shard, offset, size, crc = (numbers.get(n, 0) for n in (1, 3, 4, 5, 6))
    return _Entry(dtype, shape, shard, offset, size, crc, slices)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and values of a protocol buffer message."""
    at = 0
    value: int | bytes
    while at < len(message):
        tag, at = read_varint(message, at)
        if tag & 7 == 0:
            value, at = read_varint(message, at)
        elif tag & 7 == 2:
            length, at = read_varint(message, at)
            value, at = message[at : at + length], at + length
        elif tag & 7 in (1, 5):
            width = 8 if tag & 7 == 1 else 4
            value, at = int.from_bytes(message[at : at + width], "little"), at + width
        else:
            raise TableError("is damaged: an entry is no protocol buffer message")
        if at > len(message):
            raise TableError("is damaged: an entry ends too early")
        yield tag >> 3, value


def _read_values(path: Path, name: str, entry: _Entry) -> np.ndarray:
    if entry.dtype not in _DTYPES:
        raise InputError(
            f"{path}: {name} has TensorFlow type {entry.dtype}, which is not supported"
        )
    dtype = np.dtype(_DTYPES[entry.dtype])
    if math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise InputError(f"{path}: {name} of shape {entry.shape} has {entry.size} bytes: damaged")
    try:
        with path.open("rb") as opened:
            if (end := entry.offset + entry.size) > (length := opened.seek(0, 2)):
                raise InputError(
                    f"{path} is cut off: {name} ends at byte {end} of {length}. "
                    f"Copy the checkpoint again."
                )
            opened.seek(entry.offset)
            raw = opened.read(entry.size)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: the index says that {name} is in it") from error
    if entry.crc and masked_crc32c(raw) != entry.crc:
        raise InputError(
            f"{path} is damaged: {name} has another checksum than was written. "
            f"Copy the checkpoint again."
        )
    values = np.frombuffer(raw, dtype).copy()  # bytes cannot be written to
    if entry.dtype == _BFLOAT16:
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(entry.shape)


_FOOTER = 48  # two block handles, padded to 40 bytes, and the magic number
_MAGIC = 0xDB4775248B80FB57
_TRAILER = 5  # how a block is compressed, and its checksum


class TableError(ValueError):
    """Bytes that are no such table; the message completes a sentence that names the file."""


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values in the table's order.

    Raises TableError when the table is cut off, damaged or compressed.
    """
    footer = content[-_FOOTER:]
    if len(footer) < _FOOTER or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise TableError("is not a table, or its end is cut off")
    _, after_metaindex = _read_handle(footer, 0)
    index, _ = _read_handle(footer, after_metaindex)
    for _, value in _entries(_block(content, index)):
        handle, _ = _read_handle(value, 0)
        yield from _entries(_block(content, handle))


def masked_crc32c(data: bytes) -> int:
    """CRC-32C as LevelDB and TensorFlow store it: rotated by 15 bits plus a constant."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The base-128 number at position `at`, and the position behind it."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise TableError("is damaged: a number in it does not end")


def _read_handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (offset, size), at


def _block(content: bytes, handle: tuple[int, int]) -> bytes:
    offset, size = handle
    end = offset + size
    if end + _TRAILER > len(content) - _FOOTER:
        raise TableError("is cut off: a block reaches beyond its end")
    if content[end]:
        raise TableError(
            f"has compressed blocks (kind {content[end]}), which are not supported: save the "
            f"checkpoint again with TensorFlow's Saver, which writes plain ones"
        )
    stored = int.from_bytes(content[end + 1 : end + _TRAILER], "little")
    # Writers that record no checksum leave it 0.
    if stored and stored != masked_crc32c(content[offset : end + 1]):
        raise TableError("is damaged: a block has another checksum than was written")
    return content[offset:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each key repeats only what differs from the key before it."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise TableError("is damaged: a block is shorter than its own list of restarts")
    key, at = b"", 0
    while at < end:
        shared, at = read_varint(block, at)
        added, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + added + length > end:
            raise TableError("is damaged: an entry reaches beyond its block")
        key = key[:shared] + block[at : at + added]
        at += added
        yield key, block[at : at + length]
        at += length
