"""Exclusive locks between processes; the system frees one when its holder ends, killed or not.
Where it does not, who holds something is told by its process."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "BUILDING",
    "LOCK",
    "NoLocks",
    "Taken",
    "alone_in",
    "exclusive",
    "needs_locks",
    "process_start",
]

LOCK = ".lock"  # in a folder that one process alone may write to
BUILDING = ".building.json"  # beside it: who writes, and how far that is (no lock, for reading)

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Taken(Exception):
    """Another holds the lock; the message is its path."""


class NoLocks(OSError):
    """The file system on which a lock should lie has none."""


@contextmanager
def needs_locks(path: Path) -> Iterator[None]:
    """An error in here by which the system says that it has no locks becomes NoLocks of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        why = "its file system has no locks: choose a folder on another one"
        raise NoLocks(error.errno, why, str(path)) from error


@contextmanager
def exclusive(path: Path, *, wait: bool = True, optional: bool = False) -> Iterator[None]:
    """Hold the lock that the file `path` stands for; its folder is made if absent.

    Threads of one process exclude each other as well, and a process forked meanwhile does not
    hold it. The file is there while the lock is held, and after a kill, which does no harm.

    Args:
        wait: until it is free.
        optional: do without on a file system that has no locks.

    Raises:
        Taken: another holds it, and this one would not wait.
        NoLocks: the file system has none, and it is not `optional`.
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout  # a tenth of a second, for what few commands need

    lock = FileLock(path, blocking=wait, fallback_to_soft=False)
    try:
        with needs_locks(path):
            lock.acquire()
    except Timeout as error:
        raise Taken(str(path)) from error
    except NoLocks:
        if not optional:
            raise
        yield
        return
    try:
        yield
    finally:
        # While it is held: who waits for it sees that the file has gone, and makes a new one.
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, made if absent: two programs that write there would delete each other's files.

    If it was made here and nothing was put into it, it goes again.

    Raises:
        Taken: another holds it.
        FileExistsError, NotADirectoryError: it is a file, or lies in one.
    """
    made_here = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / LOCK, wait=False, optional=True):
            yield
    finally:
        if made_here:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def process_start(pid: int) -> str | None:
    """When a process of this machine began, in its own ticks; None where no such process runs (or
    no /proc tells). With its number it names a process for good: numbers are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None
