"""A file of one JSON object a line that a killed run goes on with, no line lost and none twice."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Journal", "read_journal"]


class Journal:
    """Appends rows, each at once in the hands of the operating system.

    Floats are written so that they read back to the last bit; what is not finite is null, for
    JSON has no word for it.

    Args:
        path: of the file; its folder exists.
        start_step: rows of later steps, which are to come again, are dropped, and with them a
            line that a kill has torn.
    """

    def __init__(self, path: Path, *, start_step: int = 0) -> None:
        self.path = path
        _keep(path, start_step)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the row of a step; `step` is its first value."""
        self._file.write(_line({"step": step, **values}))

    def flush_to_disk(self) -> None:
        """Make sure that what was written outlives the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write to disk and close."""
        self.flush_to_disk()
        self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole row, in the order of writing; none if the file is not there."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # torn by a kill, mostly the last one
            continue
    return rows


def _keep(path: Path, last_step: int) -> None:
    """Rewrite the file with the rows up to a step, or leave it whole if it is interrupted."""
    if not path.exists():
        return
    rows = [row for row in read_journal(path) if 0 < row["step"] <= last_step]
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(map(_line, rows))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _line(row: Mapping[str, Any]) -> str:
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
    return json.dumps(finite) + "\n"
