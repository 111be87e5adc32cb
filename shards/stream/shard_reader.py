"""Reading clips from tars: local ones in place, those of an object store through the cache."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import BinaryIO

from shards.errors import BadTar, StorageError
from shards.files.tarfast import members_of
from shards.stream.cache import ShardCache, in_this_process
from shards.stream.catalogue import ClipEntry, ShardEntry

__all__ = ["ShardFiles"]


class ShardFiles:
    """The shards open in this process, `limit` at most, the least recently read closed first.

    Without a `cache`, clips of an object store are read by ranged requests.
    """

    def __init__(self, cache: ShardCache | None, limit: int) -> None:
        self._cache = cache
        self._limit = limit
        self._open: OrderedDict[str, BinaryIO] = OrderedDict()

    def read(self, shard: ShardEntry, clip: ClipEntry) -> dict[str, memoryview]:
        """A clip's members by name, by one ranged read.

        Raises BadTar (UnsafeMember for hostile names) or StorageError, naming shard and key.
        """
        label = f"{shard.url}: sample {clip.key}"
        if self._cache is None and not shard.store.is_local:
            store = in_this_process(shard.store)
            data = store.read(shard.name, clip.offset, clip.offset + clip.length)
        else:
            try:
                data = os.pread(self._file(shard).fileno(), clip.length, clip.offset)
            except OSError as error:
                raise StorageError(f"{label}: cannot be read: {error}") from error
        if len(data) != clip.length:
            raise BadTar(f"{label}: the tar ends at byte {clip.offset + len(data)}, within it")
        return members_of(data, label=label)

    def __del__(self) -> None:
        for file in self._open.values():
            file.close()

    def __getstate__(self) -> dict[str, object]:
        # Open files stay behind when the stream travels to another process.
        return {**vars(self), "_open": OrderedDict()}

    def _file(self, shard: ShardEntry) -> BinaryIO:
        url = shard.url
        if url in self._open:
            self._open.move_to_end(url)
            return self._open[url]
        while len(self._open) >= self._limit:
            self._open.popitem(last=False)[1].close()
        if shard.store.is_local or self._cache is None:
            file = shard.store.open(shard.name)
        else:
            file = self._cache.open(shard)
        self._open[url] = file
        return file
