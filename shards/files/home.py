"""Paths that begin at somebody's home, as a user types them: `~/data`, `~ann/data`."""

import os
from pathlib import Path

from shards.errors import StorageError

__all__ = ["expanded"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with the home in the place of `~`, but for a text that says `./~`.

    Raises StorageError where none is known.
    """
    whole = path if isinstance(path, Path) else Path(path)
    if not str(path).startswith("~"):  # a Path leaves `./` out
        return whole
    try:
        return whole.expanduser()
    except RuntimeError as error:
        hint = "" if path is whole else f", or ./{path} for a folder of this name"
        raise StorageError(
            f"{path}: no home is known for {whole.parts[0]}: give the path in full{hint}"
        ) from error
