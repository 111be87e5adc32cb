"""Checkpoints that are whole or absent: written aside, flushed, renamed, and checked when read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Checkpoints", "atomic_folder"]

FORMAT = 1
_MANIFEST = "manifest.json"
_PREFIX, _UNFINISHED = "step-", ".unfinished-"
_NAME = re.compile(_PREFIX + r"\d{8,}")

_log = logging.getLogger(__name__)


class Checkpoints:
    """A folder of checkpoints, each a folder `step-00000500` with a manifest of checksums.

    Args:
        keep: how many are kept; others go once a new one is written.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Write the checkpoint of `step`: `fill` puts files into the folder that it is given."""
        path = self.folder / f"{_PREFIX}{step:08d}"
        with atomic_folder(path) as unfinished:
            fill(unfinished)
            files = {
                file.relative_to(unfinished).as_posix(): {
                    "bytes": file.stat().st_size,
                    "sha256": _sha256(file),
                }
                for file in _files(unfinished)
            }
            manifest = {"format": FORMAT, "step": step, "files": files}
            (unfinished / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        listed = self.listed()
        at = listed.index(path)
        # A later one was passed over as damaged, and must not count among those that are kept.
        for other in (*listed[:at], *listed[at + self.keep :]):
            shutil.rmtree(other)
        return path

    def newest(self) -> Path | None:
        """The newest checkpoint that is valid; damaged ones are passed over with a warning."""
        for path in self.listed():
            damage = find_damage(path)
            if damage is None:
                return path
            _log.warning("the checkpoint %s is passed over: %s", path, damage)
        return None

    def listed(self) -> list[Path]:
        """All there are, valid or not, the newest first; what else is in the folder is not ours."""
        found = [path for path in self.folder.glob(f"{_PREFIX}*") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)), reverse=True)


def find_damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, in words; None if it is whole."""
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            return f"it has format {manifest['format']}, this version reads {FORMAT}"
        for name, written in manifest["files"].items():
            if (path / name).stat().st_size != written["bytes"]:
                return f"{name} has another size than when it was written"
        for name, written in manifest["files"].items():
            if _sha256(path / name) != written["sha256"]:
                return f"{name} has another checksum than when it was written"
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        return f"its manifest or a file of it is missing or damaged ({error})"
    return None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes `path`, whole and flushed to disk, or nothing at all.

    A folder that has the name is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed process was writing.
    for left in path.parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left)
    unfinished = path.parent / f"{_UNFINISHED}{path.name}"
    unfinished.mkdir()
    try:
        yield unfinished
        for entry in (*_files(unfinished), *_folders(unfinished)):
            _flush(entry)
        if path.exists():
            replaced = path.parent / f"{_UNFINISHED}replaced-{path.name}"
            path.rename(replaced)
            unfinished.rename(path)
            shutil.rmtree(replaced)
        else:
            unfinished.rename(path)
        _flush(path.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _folders(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
