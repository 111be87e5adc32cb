"""One file from the hub or an address into its place, by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, Hub, Url
from preprocess.weights.download import Download
from preprocess.weights.placing import Wrong, place
from preprocess.weights.reporter import Reporter
from preprocess.weights.verify import state

__all__ = ["fetch_remote"]


def fetch_remote(entry: ExternalFile, source: Hub | Url, root: Path, reporter: Reporter) -> bool:
    """Fetch an entry whose `source` is given; False if another process did so while we waited.

    `{name}.part` and `{name}.part.json` hold what an interrupted download left.

    Raises InputError as Download.run does, or when the file that came is not the one wanted.
    """
    target = root / entry.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f"{target.name}.part")
    notes_path = target.with_name(f"{target.name}.part.json")
    token = os.environ.get("HF_TOKEN") if isinstance(source, Hub) else None
    with _held(path, lambda: reporter.waiting(entry)) as part:
        if state(entry, root) not in ("absent", "damaged"):
            return False
        download = Download(entry, root, source.url, token, part, notes_path, reporter)
        while True:
            notes = download.run()
            reporter.checking(entry)
            try:
                place(path, entry, root, served=notes.sha256, revision=notes.revision)
            except Wrong as error:
                # A crash of the machine may have spoilt the part: its bytes are not to blame
                # on the server until all of them came in one go.
                again = download.resumed
                download.clear()
                if not again:
                    raise InputError(
                        f"{source.url}, which should be {entry.name}, {error}. Nothing of it "
                        f"was used."
                    ) from error
            else:
                notes_path.unlink(missing_ok=True)
                reporter.placed(entry)
                return True


@contextmanager
def _held(path: Path, on_wait: Callable[[], None]) -> Iterator[BinaryIO]:
    """Open the part for us alone; an empty one is not left behind."""
    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(part, fcntl.LOCK_EX)
            # Whoever held it before us may have put it in its place: then it is no part any more.
            if not _is_at(part, path):
                continue
            try:
                yield part
            finally:
                if _is_at(part, path) and not os.fstat(part.fileno()).st_size:
                    path.unlink()
            return


def _is_at(part: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(part.fileno()), path.stat())
    except FileNotFoundError:
        return False
