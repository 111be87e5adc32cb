"""Paths that begin at somebody's home, as a user types them: `~/data`, `~ann/data`."""

import os
from pathlib import Path

from shards.errors import StorageError

__all__ = ["expanded"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with the home in the place of `~`. Raises StorageError where none is known."""
    try:
        return (path if isinstance(path, Path) else Path(path)).expanduser()
    except RuntimeError as error:
        raise StorageError(
            f"{path}: no home is known for {Path(path).parts[0]}: give the path in full, or "
            f"./{path} for a folder of this name"
        ) from error
