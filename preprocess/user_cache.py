"""What took long to find out about a user's files, kept between runs in the user's cache folder."""

import contextlib
import os
from pathlib import Path

from shards.files.atomic import write_atomically
from shards.files.digest import sha256
from shards.files.home import expanded

__all__ = ["cache_folder", "drop", "keep", "kept"]


def cache_folder(name: str) -> Path:
    """The folder `idol/NAME` of $XDG_CACHE_HOME, or else of `~/.cache`.

    Raises StorageError where the user has no home.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(cache) / "idol" / name


def kept(path: Path) -> bytes | None:
    """What `keep` wrote there; None where nothing is, or something else or less than that."""
    try:
        checksum, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if checksum == sha256(content).encode() else None


def keep(path: Path, content: bytes) -> None:
    """Write it with its checksum. Where that cannot be, it is found out again next time.

    That is so on a full disk, or in a home that cannot be written to.
    """
    with contextlib.suppress(OSError):
        write_atomically(path, sha256(content).encode() + b"\n" + content)


def drop(path: Path) -> None:
    """Remove what `keep` wrote there, if that can be: in a home that cannot be written to nothing
    was kept."""
    with contextlib.suppress(OSError):
        path.unlink()
