"""Canonical JSON: equal values have equal bytes, so that bytes can be hashed and compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["canonical_json", "sha256"]


def canonical_json(value: Any, *, indent: int | None = None) -> bytes:
    """ASCII JSON with sorted keys and a final newline; `indent` for files that people open.

    Raises ValueError for NaN and infinities and TypeError for anything that is not plain JSON.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)
    return text.encode("ascii") + b"\n"


def sha256(data: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
