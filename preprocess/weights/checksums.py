"""Recorded checksums: those of the files that were found right, or were met first, in a folder.

`{folder}/checksums.json` is what an unstated checksum is compared with, and it spares hashing
gigabytes again: a file of the same size and time of change is taken for the same.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from preprocess.errors import InputError
from shards.files.atomic import write_atomically
from shards.files.digest import parse_json
from shards.files.locks import exclusive

__all__ = ["NAME", "Recorded", "forget", "read", "record"]

NAME = "checksums.json"
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

    Raises InputError when the file cannot be understood.
    """
    path = root / NAME
    try:
        content = parse_json(path.read_bytes())
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        return {name: Recorded(**values) for name, values in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged, or of another version of IDOL ({error}): remove it, and the "
            f"files' checksums are recorded again"
        ) from error


def record(root: Path, name: str, recorded: Recorded) -> None:
    """Add or replace one record; others' records stay, whoever writes at the same time."""
    _change(root, lambda records: records.update({name: recorded}))


def forget(root: Path, name: str) -> None:
    """Drop one record, so that the file is recorded again when it is met next."""
    _change(root, lambda records: records.pop(name, None))


def _change(root: Path, change: Callable[[dict[str, Recorded]], object]) -> None:
    # Without locks one of two records made at the same time may be lost: it is made again.
    with exclusive(root / f".{NAME}.lock", optional=True):
        records = read(root)
        change(records)
        files = {name: asdict(records[name]) for name in sorted(records)}
        text = json.dumps({"version": _VERSION, "files": files}, indent=1) + "\n"
        write_atomically(root / NAME, text.encode())
