"""`losses.jsonl`: one line a step, exact, and cut back to the checkpoint a run goes on from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["LossLog"]


class LossLog:
    """Appends the numbers of each step to a file.

    Args:
        path: the file; lines of `first_step` and later, or cut short, are removed.
        first_step: the step that comes next.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        kept = [line for line in _whole_lines(path) if _step_of(line) < first_step]
        with path.open("wb") as file:
            file.writelines(kept)
        self._file = path.open("a", encoding="utf-8")

    def append(self, step: int, numbers: Mapping[str, float], *, taken: bool) -> None:
        """Write a step. What is not finite is null, for JSON has no word for it."""
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        self._file.write(json.dumps({"step": step, **finite, "taken": taken}) + "\n")
        self._file.flush()

    def flush_to_disk(self) -> None:
        """Make sure that what was written outlives the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _whole_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _step_of(line: bytes) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return math.inf
