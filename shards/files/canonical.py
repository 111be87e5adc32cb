"""Canonical JSON: equal values have equal bytes, so that bytes can be hashed and compared.

And JSON from anyone, which may be made to break its reader.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["canonical_json", "parse_json"]


def canonical_json(value: Any, *, indent: int | None = None) -> bytes:
    """ASCII JSON with sorted keys and a final newline; `indent` for files that people open.

    Raises ValueError for NaN and infinities and TypeError for anything that is not plain JSON.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)
    return text.encode("ascii") + b"\n"


def parse_json(data: bytes) -> Any:
    """The value in a file's bytes. Integers beyond 64 bits come as floats, which break no sums.

    Raises ValueError for anything that is not JSON or is nested a thousand deep.
    """
    try:
        return json.loads(data, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)
