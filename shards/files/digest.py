"""Canonical JSON, and digests of it, of bytes and of files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "MOST_CLIP_JSON",
    "MOST_JSON",
    "canonical_json",
    "digests",
    "parse_json",
    "sha256",
    "sha256_file",
]


# Bytes of a file of JSON; that of a clip is read with less.
MOST_JSON = 1 << 28
MOST_CLIP_JSON = 1 << 24


def canonical_json(value: Any, *, indent: int | None = None) -> bytes:
    """ASCII JSON with sorted keys and a final newline; `indent` for files that people open.

    Raises ValueError for NaN and infinities and TypeError for anything that is not plain JSON.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)
    return text.encode("ascii") + b"\n"


def parse_json(data: bytes, *, limit: int = MOST_JSON) -> Any:
    """The value in a file's bytes. Integers beyond 64 bits come as floats, which break no sums.

    Raises ValueError for anything that is not JSON, is nested a thousand deep, or has more bytes
    than `limit`: values take twenty times as much memory.
    """
    if len(data) > limit:
        raise ValueError(f"has {len(data)} bytes, more than {limit}")
    try:
        return json.loads(data, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


_CHUNK = 1 << 20


def sha256(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return digests(file)["sha256"]


def digests(file: BinaryIO, algorithms: Iterable[str] = ("sha256",)) -> dict[str, str]:
    """Checksums of the rest of an open file by algorithm, as `hashlib` calls it; read once."""
    running = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    while chunk := file.read(_CHUNK):
        for digest in running.values():
            digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in running.items()}
