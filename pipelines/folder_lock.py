"""One build at a time in a folder: two would overwrite each other's shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import InputError
from shards.files.locks import LOCK, Taken, exclusive
from shards.files.storage import Store

__all__ = ["alone_in"]


@contextmanager
def alone_in(store: Store) -> Iterator[None]:
    """Hold the folder locked; a process that dies lets go of it.

    Object stores and file systems without locks are not watched. Raises InputError when another
    build of this machine, or of one that shares the disk, is in the folder.
    """
    if not store.is_local or store.size() is not None:
        yield
        return
    try:
        with exclusive(Path(store.root, LOCK), wait=False, optional=True):
            yield
    except Taken as error:
        raise InputError(
            f"{store.url()}: another build is writing into this folder: wait until it has ended, "
            "or stop it, or choose another --out"
        ) from error
