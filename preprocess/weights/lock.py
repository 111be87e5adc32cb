"""The lock file: checksums of the files that were found right, or were met first, in a folder.

`{folder}/checksums.json` is what an unstated checksum is compared with, and it spares hashing
gigabytes again: a file of the same size and time of change is taken for the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from preprocess.errors import InputError

__all__ = ["LOCK_NAME", "Recorded", "forget", "read", "record"]

LOCK_NAME = "checksums.json"
_VERSION = 1


@dataclass(frozen=True)
class Recorded:
    """What is known of one file: its bytes' checksum, and how to see cheaply that it is the same.

    `revision` is the hub's commit that served it, where the hub said so.
    """

    sha256: str
    size: int
    mtime_ns: int
    source: str
    revision: str | None = None

    def is_of(self, status: os.stat_result) -> bool:
        return (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


def read(root: Path) -> dict[str, Recorded]:
    """The records in a folder, by the files' names; {} where there are none.

    Raises InputError when the lock file cannot be understood.
    """
    path = root / LOCK_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        return {name: Recorded(**values) for name, values in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged, or of another version of IDOL ({error}): remove it, and the "
            f"files' checksums are recorded anew"
        ) from error


def record(root: Path, name: str, recorded: Recorded) -> None:
    """Add or replace one record; others' records stay, whoever writes at the same time."""
    _change(root, lambda records: records.update({name: recorded}))


def forget(root: Path, name: str) -> None:
    """Drop one record, so that the file is recorded anew when it is met next."""
    _change(root, lambda records: records.pop(name, None))


def _change(root: Path, change: Callable[[dict[str, Recorded]], object]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with _held(root / f".{LOCK_NAME}.lock"):
        records = read(root)
        change(records)
        files = {name: asdict(records[name]) for name in sorted(records)}
        text = json.dumps({"version": _VERSION, "files": files}, indent=1) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=root, prefix=".idol-", delete=False) as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        os.chmod(new.name, 0o644)
        os.replace(new.name, root / LOCK_NAME)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
