"""Copies of far files on a local disk: whole, shared by processes, bounded."""

import errno
import fcntl
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from shards.files.home import expanded
from shards.files.locks import Taken, exclusive, needs_locks

__all__ = ["FileCache"]

_PART = ".part"
_OURS = re.compile(r"[0-9a-f]{64}(\.[^.]*)?(\.part)?")


class FileCache:
    """A folder of files whose names tell their contents, at most `limit` bytes of them.

    A name is a SHA-256, and a suffix if there is one. What else is in the folder is somebody's: it
    is left alone, and does not count.

    A file that has its name is whole: it is filled under another name, and renamed. Any number of
    processes may share the folder: a file is filled by one while the others wait for it, and the
    system frees the lock of a process that dies. The least recently opened files make room for new
    ones, but for those that somebody `hold`s; whoever has another open keeps reading it.
    All methods raise OSError, and of it NoLocks where the folder's file system has none.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        if limit < 1:
            raise ValueError(f"the cache's limit must be positive, not {limit} bytes")
        self.folder = expanded(folder)
        self.limit = limit

    def path(self, name: str) -> Path:
        """Where a file lies, if it is there."""
        return self.folder / name

    def open(self, name: str, size: int, fill: Callable[[BinaryIO], None]) -> BinaryIO:
        """A file, open for reading; `fill` writes its `size` bytes where it is not there yet."""
        while True:
            if (file := _open_existing(self.path(name))) is not None:
                return file
            self._fetch(name, size, fill, wait=True)

    def hold(self, name: str, size: int, fill: Callable[[BinaryIO], None]) -> BinaryIO:
        """`open` a file that keeps its name until it is closed."""
        while True:
            file = self.open(name, size, fill)
            with needs_locks(self.path(name)):
                fcntl.flock(file.fileno(), fcntl.LOCK_SH)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # it made room between

    def fetch(self, name: str, size: int, fill: Callable[[BinaryIO], None]) -> None:
        """Have a file there, unless it is, or another is about to."""
        if not self.path(name).exists():
            self._fetch(name, size, fill, wait=False)

    def _fetch(self, name: str, size: int, fill: Callable[[BinaryIO], None], *, wait: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.path(name)
        with ExitStack() as stack:
            # Held for a moment by who sweeps, it would look as if another were filling it.
            with nullcontext() if wait else self._unswept():
                try:
                    stack.enter_context(exclusive(_lock_of(place), wait=wait))
                except Taken:
                    return
            if place.exists():  # another placed it between our look and our lock
                return
            with self._unswept():
                self._make_room(size)
            part = place.with_name(f"{place.name}{_PART}")
            try:
                with part.open("wb") as file:
                    fill(file)
                # Not flushed to disk: what a power cut damages, the next download replaces.
                part.rename(place)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def _unswept(self) -> AbstractContextManager[None]:
        """Holds the lock under which room is made."""
        return exclusive(self.folder / ".room")

    def _make_room(self, needed: int) -> None:
        found = []
        used = 0
        for path in self.folder.iterdir():
            if not _OURS.fullmatch(path.name):
                continue
            if path.suffix == _PART:
                used += _sweep(path)
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process made room too
                continue
            found.append((stat.st_mtime_ns, stat.st_size, path))
            used += stat.st_size
        for _, size, path in sorted(found):
            if used + needed <= self.limit:
                return
            if _remove_unheld(path):
                used -= size


def _open_existing(place: Path) -> BinaryIO | None:
    try:
        file = place.open("rb")
    except FileNotFoundError:
        return None
    # The time of last use, for eviction; through the handle, for the name may go meanwhile. Of
    # another user's file, or where nothing can be written, it cannot be told.
    with suppress(OSError):
        os.utime(file.fileno())
    return file


def _remove_unheld(path: Path) -> bool:
    """Whether the file is gone now; those that are held, or another user's, stay."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
        try:
            path.unlink(missing_ok=True)
        except PermissionError:  # another user's
            return False
    return True


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _sweep(part: Path) -> int:
    """Remove what a killed process was filling; the bytes of one still at work."""
    try:
        try:
            with exclusive(_lock_of(part.with_name(part.name.removesuffix(_PART))), wait=False):
                part.unlink()
        except Taken:
            return part.stat().st_size
    except FileNotFoundError:
        pass
    return 0
