"""One build at a time in a folder: two would overwrite each other's shards."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from preprocess.errors import InputError
from shards.files.storage import Store

__all__ = ["alone_in"]


@contextmanager
def alone_in(store: Store) -> Iterator[None]:
    """Hold the folder itself locked; a process that dies lets go of it.

    Object stores and file systems without locks are not watched. Raises InputError when another
    build of this machine, or of one that shares the disk, is in the folder.
    """
    if not store.is_local or store.size() is not None:
        yield
        return
    import fcntl

    os.makedirs(store.root, exist_ok=True)
    handle = os.open(store.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise InputError(
                    f"{store.url()}: another build is writing into this folder: wait until it "
                    "has ended, or stop it, or choose another --out"
                ) from error
        yield
    finally:
        os.close(handle)
