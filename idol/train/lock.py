"""One run at a time in an output: two would sweep away each other's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idol.train.errors import TrainError
from shards.files.locks import LOCK, Taken, exclusive

__all__ = ["sole_run"]


@contextmanager
def sole_run(output: Path) -> Iterator[None]:
    """Hold an output in here; the system lets go of it when the process ends, killed or not.

    Raises:
        TrainError: another process holds it, or it is a file.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise TrainError(f"{output} is a file, or lies in one: --output takes a folder") from error
    try:
        with exclusive(output / LOCK, wait=False, optional=True):
            yield
    except Taken as error:
        raise TrainError(
            f"{output} is in use by another idol-train: wait for it, stop it, or give another "
            "--output"
        ) from error
