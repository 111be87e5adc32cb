"""Downloading the shards that will be read next while others are read."""

from __future__ import annotations

import logging
import threading
from itertools import chain

from shards.errors import ShardsError
from shards.stream.cache import ShardCache
from shards.stream.catalogue import Catalogue, ShardEntry
from shards.stream.order import Order, Place

__all__ = ["Prefetcher"]

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
        """Told of every place that is read; starts a download where it is a window's first."""
        at = place.epoch, place.window
        if self._reading.get(place.source) == at:
            return
        self._reading[place.source] = at
        self._stop.set()
        self._stop = threading.Event()
        if shards := self._wanted():
            # A daemon: a program that ends does not wait for it.
            arguments = self._cache, shards, self._stop
            threading.Thread(target=_download, args=arguments, daemon=True, name="shards").start()

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


def _download(cache: ShardCache, shards: list[ShardEntry], stop: threading.Event) -> None:
    for shard in shards:
        if stop.is_set():
            return
        try:
            cache.fetch(shard)
        except ShardsError as error:
            # Whoever reads the shard tries again, and raises it.
            _log.debug("not downloaded ahead: %s", error)
