"""One run at a time in an output: two would sweep away each other's files."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idol.train.errors import TrainError

__all__ = ["sole_run"]

_FILE = ".lock"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


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
    with (output / _FILE).open("w") as file:
        try:
            # Not flock: a killed run's loading processes would inherit it and hold it on.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                raise TrainError(
                    f"{output} is in use by another idol-train: wait for it, stop it, or give "
                    "another --output"
                ) from error
            if error.errno not in _UNSUPPORTED:
                raise
        yield
