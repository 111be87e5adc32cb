"""LevelDB's table: sorted keys and values in blocks, the format of a tensor bundle's `.index`."""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c

__all__ = ["TableError", "masked_crc32c", "read_table", "read_varint"]

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
            f"checkpoint anew with TensorFlow's Saver, which writes plain ones"
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
