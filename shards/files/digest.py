"""Checksums as hexadecimal digits: of bytes, of a file, of a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

__all__ = ["digests", "sha256", "sha256_file"]

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
