"""Files and folders that are whole or absent: written aside, flushed to disk, renamed."""

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "TEMPORARY",
    "UNFINISHED",
    "atomic_file",
    "atomic_folder",
    "file_in_the_way",
    "filled_folder",
    "lies_at",
    "occupied",
    "publish",
    "remove",
    "remove_temporary",
    "sync",
    "temporary_path",
    "write_atomically",
]

# What a killed writer may leave of a file.
TEMPORARY = re.compile(r"\..*\.tmp-[0-9a-f]{8}")
UNFINISHED = ".unfinished-"
"""What names of folders begin with that a killed writer left."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; the file takes its name, whole, if the block ends without an error.

    The path lies in the same folder, which is made if absent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """`atomic_file` for what is already in memory."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes `path`, whole and flushed to disk, or nothing at all.

    What has the name is replaced, a link itself and not what it leads to. One process at a time may
    write there; what a killed one left goes when the same folder is written again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f"{UNFINISHED}{path.name}"
    replaced = path.parent / f"{UNFINISHED}replaced-{path.name}"
    _put_back(replaced, path)  # what a killed process was about to replace
    for left in (unfinished, replaced):
        remove(left)
    unfinished.mkdir()
    try:
        yield unfinished
        for entry in (unfinished, *unfinished.rglob("*")):
            sync(entry)
        if os.path.lexists(path):
            path.rename(replaced)
        unfinished.rename(path)
        remove(replaced)
        sync(path.parent)
    except BaseException:
        _put_back(replaced, path)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _put_back(replaced: Path, path: Path) -> None:
    if os.path.lexists(replaced) and not os.path.lexists(path):
        replaced.rename(path)


def remove(path: Path) -> None:
    """Remove a folder with all that it holds, a file, or a link and not what it leads to; nothing
    where nothing is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_in_the_way(folder: Path) -> Path | None:
    """The file that lies where a folder is to be, or where one above it is; None without any."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return None if there.is_dir() else there


def occupied(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these names within `folder` that something has, but for empty folders; None
    without any."""
    within = (folder / name for name in sorted(names) if os.path.lexists(folder / name))
    return next((path for path in within if not path.is_dir() or any(path.iterdir())), None)


def lies_at(path: Path, folder: Path, names: Iterable[str]) -> str | None:
    """The one of these names within `folder` that a path has, or lies below, by itself or by where
    its links lead; None without any."""
    places = (path.parent.resolve() / path.name, path.resolve())
    here = folder.resolve()
    return next(
        (name for name in names if any(place.is_relative_to(here / name) for place in places)), None
    )


@contextmanager
def filled_folder(folder: Path, last: str) -> Iterator[Path]:
    """Give a folder to fill, whose entries then move into `folder`, the one called `last` last.

    `folder` is made if absent, and entries of the same names are replaced, links themselves and not
    what they lead to; others stay. If the block ends with an error nothing is changed. Where the
    last entry is there, all are, whole.
    """
    made = not folder.exists()
    unfinished = folder / f"{UNFINISHED}outputs"
    shutil.rmtree(unfinished, ignore_errors=True)  # what a killed process was writing
    unfinished.mkdir(parents=True)
    done = False
    try:
        yield unfinished
        for entry in unfinished.rglob("*"):
            sync(entry)
        (folder / last).unlink(missing_ok=True)
        for entry in sorted(unfinished.iterdir(), key=lambda entry: entry.name == last):
            there = folder / entry.name
            if entry.is_dir() or there.is_dir():  # which do not make way by themselves
                remove(there)
            entry.replace(there)
        sync(folder)
        done = True
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if made and not done:
            with suppress(OSError):  # something else was put there meanwhile
                folder.rmdir()


def temporary_path(path: Path) -> Path:
    """A new name beside `path`, which `TEMPORARY` matches."""
    return path.with_name(f".{path.name}.tmp-{secrets.token_hex(4)}")


def remove_temporary(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers left in a folder, of one file or of all; nobody may write there
    meanwhile."""
    for left in folder.iterdir():
        of_it = name is None or left.name.startswith(f".{name}.tmp-")
        if of_it and TEMPORARY.fullmatch(left.name):
            left.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Flush a written file to disk and give it its name, in place of what had it before."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's names, to disk: a rename is there when its folder is."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():  # some systems cannot open folders: no harm
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
