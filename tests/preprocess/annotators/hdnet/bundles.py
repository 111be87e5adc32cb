"""A writer of tensor bundles in TensorFlow's own format, for tests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from preprocess.annotators.hdnet.tensor_bundle import masked_crc32c

TYPES = (
    {"float32": 1, "float64": 2, "float16": 19, "complex64": 8, "complex128": 18, "bool": 10}
    | {"int8": 6, "int16": 5, "int32": 3, "int64": 9}
    | {"uint8": 4, "uint16": 17, "uint32": 22, "uint64": 23}
)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, restarts, before = bytearray(), [], b""
    for place, (key, value) in enumerate(entries):
        shared = 0
        if place % 16 == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    restarts = restarts or [0]
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(entries: Mapping[bytes, bytes], *, per_block: int = 40, kind: int = 0) -> bytes:
    """LevelDB's table; `kind` is the compression it claims to have."""
    out = bytearray()

    def place(content: bytes) -> bytes:
        handle = varint(len(out)) + varint(len(content))
        checked = content + bytes([kind])
        out.extend(checked + struct.pack("<I", masked_crc32c(checked)))
        return handle

    rows = sorted(entries.items())
    parts = [rows[i : i + per_block] for i in range(0, len(rows), per_block)]
    index = [(part[-1][0], place(block(part))) for part in parts]
    handles = place(block([])) + place(block(index))
    return bytes(out) + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def write_bundle(
    prefix: Path,
    variables: Mapping[str, np.ndarray],
    *,
    shards: int = 1,
    types: Mapping[str, int] | None = None,
    extra: Mapping[bytes, bytes] | None = None,
    endianness: int = 0,
    kind: int = 0,
    checksum: Callable[[bytes], int] = masked_crc32c,
) -> None:
    """Write `{prefix}.index` and the data files, variables dealt to `shards` in turn.

    `types` overrides TensorFlow's type numbers, `extra` adds entries as they are.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    header = field(1, shards) + (field(2, endianness) if endianness else b"")
    entries = {b"": header + field(3, field(1, 1))}
    data = [bytearray() for _ in range(shards)]
    for place, (name, value) in enumerate(sorted(variables.items())):
        shard = place % shards
        raw = np.ascontiguousarray(value).tobytes()
        dims = b"".join(field(2, field(1, n)) for n in value.shape)
        entry = field(1, (types or {}).get(name) or TYPES[value.dtype.name]) + field(2, dims)
        entry += field(3, shard) if shard else b""
        entry += field(4, len(data[shard])) + field(5, len(raw))
        if stored := checksum(raw):
            entry += varint(6 << 3 | 5) + struct.pack("<I", stored)
        entries[name.encode()] = entry
        data[shard] += raw
    Path(f"{prefix}.index").write_bytes(table({**entries, **(extra or {})}, kind=kind))
    for shard, content in enumerate(data):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
