"""Reading clips from tars: local ones in place, those of an object store through the cache."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from typing import BinaryIO

from shards.errors import BadTar, StorageError
from shards.files.system_errors import explain
from shards.files.tars import members_of
from shards.stream.cache import ShardCache, in_this_thread
from shards.stream.catalogue import ClipEntry, ShardEntry

__all__ = ["ShardReader"]


class ShardReader:
    """The shards that are open, `limit` at most, the least recently read closed first.

    Threads may share it. Without a `cache`, clips of an object store are read by ranged requests.
    """

    def __init__(self, cache: ShardCache | None, limit: int) -> None:
        self._cache = cache
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Tar] = OrderedDict()

    def read(self, shard: ShardEntry, clip: ClipEntry) -> dict[str, memoryview]:
        """A clip's members by name, by one ranged read.

        Raises BadTar (UnsafeMember for hostile names) or StorageError, naming shard and key.
        """
        label = f"{shard.url}: sample {clip.key}"
        if self._cache is None and not shard.store.is_local:
            store = in_this_thread(shard.store)
            data = store.read(shard.name, clip.offset, clip.offset + clip.length)
        else:
            try:
                data = self._tar(shard).read(clip.offset, clip.length)
            except OSError as error:
                raise StorageError(f"{label}: cannot be read: {explain(error)}") from error
        if len(data) != clip.length:
            raise BadTar(f"{label}: the tar ends at byte {clip.offset + len(data)}, within it")
        return members_of(data, label=label)

    def _tar(self, shard: ShardEntry) -> _Tar:
        url = shard.url
        with self._lock:
            if url in self._open:
                self._open.move_to_end(url)
                return self._open[url]
        if shard.store.is_local or self._cache is None:
            tar = _Tar(shard.store.open(shard.name))
        else:
            tar = _Tar(self._cache.open(shard))
        with self._lock:
            while len(self._open) >= self._limit:
                self._open.popitem(last=False)
            return self._open.setdefault(url, tar)  # another thread may have been first


class _Tar:
    """An open file that is closed when nothing reads it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # No __del__: in a cycle that is collected, the file's own may come first, and warns.
        weakref.finalize(self, file.close)

    def read(self, start: int, length: int) -> bytes:
        """Bytes of a range; fewer at the file's end. Any number of threads may read at a time."""
        return os.pread(self._file.fileno(), length, start)
