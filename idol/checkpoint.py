"""Checkpoints that are whole or absent: written aside, flushed, renamed, and checked when read."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from shards.files.atomic import UNFINISHED, atomic_folder, remove
from shards.files.digest import sha256_file
from shards.files.system_errors import explain

__all__ = ["Checkpoints", "find_damage", "step_of"]

FORMAT = 1
_MANIFEST = "manifest.json"
_PREFIX = "step-"
_NAME = re.compile(_PREFIX + r"\d{8,}")

_log = logging.getLogger(__name__)


class Checkpoints:
    """A folder of checkpoints, each a folder `step-00000500` with a manifest of checksums.

    Args:
        keep: how many are kept; others are deleted once a new one is written.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Write the checkpoint of `step`: `fill` puts files into the folder that it is given."""
        path = self.folder / f"{_PREFIX}{step:08d}"
        for left in self.folder.glob(f"{UNFINISHED}*{_PREFIX}*"):  # a killed run's, of any step
            remove(left)
        with atomic_folder(path) as unfinished:
            fill(unfinished)
            files = {
                file.relative_to(unfinished).as_posix(): {
                    "bytes": file.stat().st_size,
                    "sha256": sha256_file(file),
                }
                for file in _files(unfinished)
            }
            manifest = {"format": FORMAT, "step": step, "files": files}
            (unfinished / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        listed = self.listed()
        at = listed.index(path)
        # A later one was skipped as damaged, and must not count among those that are kept.
        for other in (*listed[:at], *listed[at + self.keep :]):
            try:
                shutil.rmtree(other)
            except OSError as error:  # another user's, or a share's that does not answer
                _log.warning(
                    "checkpoint %s cannot be removed, and stays: %s", other, explain(error)
                )
        return path

    def newest(self) -> Path | None:
        """The newest checkpoint that is valid; damaged ones are skipped with a warning."""
        for path in self.listed():
            damage = find_damage(path)
            if damage is None:
                return path
            _log.warning("checkpoint %s is skipped: %s", path, damage)
        return None

    def listed(self) -> list[Path]:
        """All there are, valid or not, the newest first; what else is in the folder is not ours."""
        found = [path for path in self.folder.glob(f"{_PREFIX}*") if _NAME.fullmatch(path.name)]
        return sorted(found, key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """The step that a checkpoint is of, by its name."""
    return int(path.name.removeprefix(_PREFIX))


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
            if sha256_file(path / name) != written["sha256"]:
                return f"{name} has another checksum than when it was written"
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        return f"its manifest or a file of it is missing or damaged ({error})"
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
