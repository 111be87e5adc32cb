"""From positions in the order to samples and batches, passing over clips that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from shards.errors import BadSample, BadTar
from shards.files.storage import Store
from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.catalogue import Catalogue, ClipEntry, ShardEntry
from shards.stream.fill import fill_sample
from shards.stream.order import Order
from shards.stream.prefetch import DownloadAhead
from shards.stream.recycle import Memory, Recycler
from shards.stream.request import Request
from shards.stream.shard_reader import ShardFiles

__all__ = ["SampleMaker"]

_log = logging.getLogger(__name__)


class SampleMaker:
    """Makes what a position holds: the same in every process, whatever was made before.

    `seed` is that of all draws, None to draw nothing. `skipped` has one line, naming shard and
    key and how to mend it, for each clip that this process could not read; more than `max_bad`
    raise BadSample.
    `memory` is where arrays come from, and may be changed.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        order: Order,
        request: Request,
        files: ShardFiles,
        ahead: DownloadAhead | None,
        *,
        seed: int | None,
        max_bad: int,
    ) -> None:
        self._catalogue = catalogue
        self._order = order
        self._request = request
        self._files = files
        self._ahead = ahead
        self._seed = seed
        self._max_bad = max_bad
        self.memory: Memory = Recycler()
        self.skipped: list[str] = []

    def sample(self, position: int, consumed: int) -> ClipSample:
        """The sample at a position. Raises BadSample and StorageError."""
        arrays = self.memory.take(self.shapes())
        key, indices, skipped = self._fill(arrays, position)
        return ClipSample(
            key=key,
            position=position,
            frame_indices=np.array(indices, np.int64),
            consumed=consumed,
            skipped=skipped,
        ).with_arrays(arrays)

    def batch(self, positions: Sequence[int], consumed: int) -> ClipBatch:
        """The samples at some positions, decoded in place. Raises as `sample`."""
        arrays = self.memory.take(self.shapes(len(positions)))
        filled = [
            self._fill({name: array[row] for name, array in arrays.items()}, position)
            for row, position in enumerate(positions)
        ]
        keys, indices, skipped = zip(*filled, strict=True)
        return ClipBatch(
            key=keys,
            positions=tuple(positions),
            frame_indices=np.array(indices, np.int64),
            consumed=consumed,
            skipped=tuple(line for lines in skipped for line in lines),
        ).with_arrays(arrays)

    def count_skipped(self, reasons: Sequence[str]) -> None:
        """Count clips that could not be read, here or in a worker, each once."""
        for reason in reasons:
            if reason in self.skipped:
                continue
            self.skipped.append(reason)
            _log.warning("left out: %s", reason)
            if len(self.skipped) > self._max_bad:
                raise BadSample(
                    f"{len(self.skipped)} clips cannot be read, and max_bad is {self._max_bad}; "
                    f"the last: {reason}"
                )

    def shapes(self, *batch: int) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a sample, or of a batch of so many."""
        shapes = self._request.shapes(*self._catalogue.size)
        return {name: (*batch, *shape) for name, shape in shapes.items()}

    def _fill(
        self, out: Mapping[str, np.ndarray], position: int
    ) -> tuple[str, list[int], tuple[str, ...]]:
        """Fill a sample's arrays; its key, its frames, and what it stands in for."""
        place = self._order.place(position)
        if self._ahead is not None:
            self._ahead.reached(place)
        draw = None
        if self._seed is not None:
            draw = (self._seed, place.source, place.epoch, place.index)
        skipped: list[str] = []
        for tries in range(self._order.sources[place.source].size):
            chosen = self._order.stand_in(place, tries)
            shard = self._catalogue.sources[chosen.source].shards[chosen.shard]
            clip = shard.clips[chosen.clip]
            try:
                members = self._files.read(shard, clip)
                if shard.latents is not None:
                    latents = self._files.read(shard.latents, shard.latents.clips[chosen.clip])
                    members = {**latents, **members}
                indices = fill_sample(out, members, clip, self._request, draw)
            except (BadSample, BadTar) as error:
                skipped.append(_reason(shard, clip, error))
                self.count_skipped(skipped[-1:])
            else:
                return clip.key, indices, tuple(skipped)
        raise BadSample(f"no clip of this source can be read; the last: {skipped[-1]}")


def _reason(shard: ShardEntry, clip: ClipEntry, error: Exception) -> str:
    what = f"{shard.url}: sample {clip.key}"
    suspect = shard.url
    if shard.latents is not None:  # they are verified with their dataset, in whose folder they lie
        latents = shard.latents.store
        suspect = Store(latents.fs, latents.root.rpartition("/")[0]).url()
    return (
        f"{what}: {str(error).removeprefix(f'{what}: ')}; `idol-shards verify {suspect}` names "
        "what is damaged: build or copy that shard again"
    )
