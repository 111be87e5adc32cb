"""Whether a file in the folder is the one it should be, and what to do when it is not."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, what_else
from preprocess.weights import checksums
from preprocess.weights.advice import command, way_out, ways_out
from preprocess.weights.registry import files, folder
from shards.files.digest import digests

__all__ = [
    "State",
    "accept",
    "check",
    "check_stated",
    "checksum",
    "locate",
    "require",
    "state",
]

_log = logging.getLogger(__name__)

State = Literal["ok", "absent", "damaged", "unrecorded"]


@dataclass(frozen=True)
class _Verdict:
    state: State
    found: str = ""  # in words, for the error
    sha256: str | None = None  # of the file, where it is ok or unrecorded
    status: os.stat_result | None = None  # of the file before it was read
    changed: bool = False  # since it was recorded


def locate(name: str, root: str | Path | None = None) -> Path:
    """The path of a registered file that is present with the right size.

    Raises InputError naming the file, where it belongs and the command that fetches it.
    """
    (entry,) = files(name)
    base = folder(root)
    path = base / name
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise _unusable(entry, base, _Verdict("absent", "is not there"))
    if size != entry.bytes if entry.bytes is not None else size == 0:
        raise _unusable(entry, base, _Verdict("damaged", _cut(size, entry)))
    return path


def require(entries: tuple[ExternalFile, ...], root: str | Path | None = None) -> None:
    """Make sure, by checksum, that what a build will say it used is what it will use.

    Files whose size and time of change are those of an earlier look are not read again. A
    checksum that nobody states is recorded. Raises InputError naming all files that are absent,
    or as `locate` the first one that is damaged or changed.
    """
    base = folder(root)
    absent = [entry for entry in entries if not (base / entry.name).is_file()]
    if len(absent) > 1:
        names = ", ".join(entry.name for entry in absent)
        raise InputError(
            f"{len(absent)} files are not there: {names}: expected in {base}. "
            f"{ways_out(absent, base)}"
        )
    for entry in entries:
        _usable(entry, base)


def checksum(name: str, root: str | Path | None = None) -> str:
    """The SHA-256 of a registered file, in hexadecimal: what a build records.

    It is the one that others state, without a look at the file; else the recorded one of the
    file, which is computed and recorded at its first use.

    Raises InputError for an unknown name, and, where nobody states it, for a file that is absent
    or was changed since it was recorded.
    """
    (entry,) = files(name)
    return entry.sha256 or _usable(entry, folder(root))


def check(entry: ExternalFile, root: str | Path | None = None) -> State:
    """ "ok", "absent", "damaged" or "unrecorded" (nobody states its checksum, and it was not used
    yet); the file is always read."""
    return _verify(entry, folder(root), thorough=True).state


def state(entry: ExternalFile, root: str | Path | None = None) -> State:
    """As `check`, without reading a file that looks as it did when it was last found right."""
    return _verify(entry, folder(root)).state


def accept(entry: ExternalFile, root: str | Path | None = None) -> bool:
    """Record the file that is there in place of the one recorded before; False if none is there.

    Raises InputError where others state its checksum, and it is another.
    """
    base = folder(root)
    checksums.forget(base, entry.name)
    if not (base / entry.name).is_file():
        return False
    _usable(entry, base)
    return True


def check_stated(path: Path, entry: ExternalFile) -> tuple[str, str | None]:
    """A file's SHA-256, and in words which stated checksum it contradicts, if it does."""
    with open(path, "rb") as opened:
        found = digests(opened, {"sha256", *(stated.algorithm for stated in entry.stated)})
    for stated in entry.stated:
        digest = found[stated.algorithm]
        if not digest.startswith(stated.digits):
            wrong = f"its {stated.algorithm} is {digest}, not {stated.digits}"
            return found["sha256"], f"{wrong} (stated by {stated.by})"
    return found["sha256"], None


def _verify(entry: ExternalFile, root: Path, *, thorough: bool = False) -> _Verdict:
    path = root / entry.name
    if not path.is_file():
        return _Verdict("absent", "is not there")
    status = path.stat()
    if entry.bytes not in (None, status.st_size):
        return _Verdict("damaged", _cut(status.st_size, entry))
    recorded = checksums.read(root).get(entry.name)
    expected = entry.sha256 or (recorded.sha256 if recorded else None)
    seen = recorded is not None and recorded.is_of(status) and recorded.sha256 == expected
    if seen and not thorough:
        return _Verdict("ok", sha256=expected, status=status)
    if other := what_else(path):
        return _Verdict("damaged", f"is {other}")
    sha256, wrong = check_stated(path, entry)
    if wrong:
        return _Verdict("damaged", f"is damaged ({wrong})")
    if expected is None:
        return _Verdict("unrecorded", sha256=sha256, status=status)
    if sha256 != expected:
        return _Verdict(
            "damaged",
            f"has changed (its sha256 is {sha256}; at its first use it was {expected})",
            changed=True,
        )
    if not seen:
        _remember(entry, root, sha256, status, recorded.revision if recorded else None)
    return _Verdict("ok", sha256=sha256, status=status)


def _usable(entry: ExternalFile, root: Path) -> str:
    """The SHA-256 of a file that may be used; recorded at first use where none is stated."""
    verdict = _verify(entry, root)
    if verdict.sha256 is None or verdict.status is None:
        raise _unusable(entry, root, verdict)
    if verdict.state == "unrecorded":
        _remember(entry, root, verdict.sha256, verdict.status)
    return verdict.sha256


def _remember(
    entry: ExternalFile,
    root: Path,
    sha256: str,
    status: os.stat_result,
    revision: str | None = None,
) -> None:
    recorded = checksums.Recorded(
        sha256, status.st_size, status.st_mtime_ns, entry.source.label, revision
    )
    try:
        checksums.record(root, entry.name, recorded)
    except OSError as error:
        # A folder that others share may be read-only: then the file is read at every use.
        _log.debug("%s: the checksum of %s is not recorded: %s", root, entry.name, error)


def _cut(size: int, entry: ExternalFile) -> str:
    return f"is damaged ({size}{f' of {entry.bytes}' if entry.bytes else ''} bytes)"


def _unusable(entry: ExternalFile, root: Path, verdict: _Verdict) -> InputError:
    message = f"{entry.name} ({entry.what}) {verdict.found}: expected at {root / entry.name}."
    if verdict.changed:
        message += f" If this is the file you want: {command('accept', entry.name, root)}."
    return InputError(f"{message} {way_out(entry, root)}")
