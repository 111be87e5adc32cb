"""Whole shards from an object store on a local disk, verified, shared by processes, bounded."""

import copy
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import BinaryIO

from shards.errors import BadTar, ShardsError, StorageError
from shards.files.cache import FileCache
from shards.files.digest import sha256
from shards.files.storage import Store
from shards.files.system_errors import explain
from shards.stream.catalogue import Catalogue, ShardEntry
from shards.stream.order import Order, Place

__all__ = ["Prefetcher", "ShardCache", "in_this_thread"]

_CHUNK = 1 << 22


class ShardCache:
    """A folder of shards named by their checksums, at most `limit` bytes of them (`FileCache`).

    A shard is hashed as it is downloaded: one that has its name is verified.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self._files = FileCache(folder, limit)
        self.limit = limit

    def open(self, shard: ShardEntry) -> BinaryIO:
        """The shard, open for reading, from the cache if it is there.

        Raises BadTar when what the store has is not what the manifest says, and StorageError.
        """
        with self._translate_errors(shard):
            return self._files.open(_name(shard), shard.bytes, partial(_download, shard))

    def fetch(self, shard: ShardEntry) -> None:
        """Have the shard there, unless it is, or another is about to. Raises as `open`."""
        with self._translate_errors(shard):
            self._files.fetch(_name(shard), shard.bytes, partial(_download, shard))

    @contextmanager
    def _translate_errors(self, shard: ShardEntry) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot cache {shard.url} in {self._files.folder}: {explain(error)} "
                "(--cache, in Python `cache`, names another folder)"
            ) from error


def _download(shard: ShardEntry, part: BinaryIO) -> None:
    """Fill `part` from its start and verify it; a damaged download is tried once more."""
    store = in_this_thread(shard.store)
    for _ in range(2):
        part.seek(0)
        part.truncate()
        digest = hashlib.sha256()
        with store.open(shard.name) as remote:
            while chunk := remote.read(_CHUNK):
                digest.update(chunk)
                part.write(chunk)
        part.flush()
        found = digest.hexdigest()
        if found == (shard.sha256 or found) and part.tell() == shard.bytes:
            return
    raise BadTar(
        f"{shard.url}: has checksum {found} and {part.tell()} bytes, its manifest says "
        f"{shard.sha256} and {shard.bytes}: copy or build this shard again"
    )


def _name(shard: ShardEntry) -> str:
    # Another's tar has no manifest: then its address and size must do.
    identity = shard.sha256 or sha256(f"{shard.url} {shard.bytes}".encode())
    return f"{identity}.tar"


def in_this_thread(store: Store) -> Store:
    """A store whose client belongs to this thread: not every one can be shared between threads.

    fsspec keeps one client for each thread, so this makes at most one.
    """
    return store if store.is_local else Store(copy.copy(store.fs), store.root)


_log = logging.getLogger(__name__)


class Prefetcher:
    """Fills a cache with the shards of the window that is read and of the next, in the background.

    One shard after the other; processes that share the cache share the work, for what another
    downloads already is passed over. A thread runs only while there is something to download, and
    ends, after the shard that it is at, with this object.
    """

    def __init__(self, cache: ShardCache, catalogue: Catalogue, order: Order) -> None:
        self._cache, self._catalogue, self._order = cache, catalogue, order
        self._reading: dict[int, tuple[int, int]] = {}
        self._stop = threading.Event()

    def reached(self, place: Place) -> None:
        """Report a place that is read; starts a download where it is a window's first."""
        at = place.epoch, place.window
        if self._reading.get(place.source) == at:
            return
        self._reading[place.source] = at
        self._stop.set()
        self._stop = threading.Event()
        if shards := self._wanted():
            # A daemon: a program that ends does not wait for it.
            arguments = self._cache, shards, self._stop
            threading.Thread(
                target=_download_ahead, args=arguments, daemon=True, name="shards"
            ).start()

    def _wanted(self) -> list[ShardEntry]:
        """Shards in the order of their use, as many as the cache can hold at a time.

        To download more would throw out what is needed sooner.
        """
        coming: list[list[ShardEntry]] = [[], []]
        for number, (epoch, window) in self._reading.items():
            shards = self._catalogue.sources[number].shards
            windows = self._order.sources[number].shards_from(epoch, window, 2)
            for row, indices in zip(coming, windows, strict=True):
                filled = [shards[index] for index in indices if shards[index].clips]
                row += [tar for shard in filled for tar in (shard, shard.latents) if tar]
        room = self._cache.limit
        wanted = []
        for shard in chain(*coming):
            if shard.store.is_local:
                continue
            room -= shard.bytes
            if room < 0:
                break
            wanted.append(shard)
        return wanted

    def __del__(self) -> None:
        self._stop.set()


def _download_ahead(cache: ShardCache, shards: list[ShardEntry], stop: threading.Event) -> None:
    for shard in shards:
        if stop.is_set():
            return
        try:
            cache.fetch(shard)
        except ShardsError as error:
            # Whoever reads the shard tries again, and raises it.
            _log.debug("not downloaded ahead: %s", error)
