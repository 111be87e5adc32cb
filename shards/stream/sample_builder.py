"""From places in the order to samples and batches, passing over clips that cannot be read."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shards.errors import BadSample, BadTar
from shards.files.storage import Store
from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.catalogue import Catalogue, ClipEntry, ShardEntry
from shards.stream.fill import fill_sample
from shards.stream.order import Order, Place
from shards.stream.recycle import Recycler
from shards.stream.request import Request
from shards.stream.shard_reader import ShardReader

__all__ = ["SampleBuilder", "Turn", "check_skipped"]


class Turn(NamedTuple):
    """What an item is made of: positions in the order, what they hold, and the state after it."""

    positions: range
    places: list[Place]
    consumed: int


class SampleBuilder:
    """Builds what a turn holds: the same whatever was built before, and from any thread.

    `seed` is that of all draws, None to draw nothing. `recycler` is where arrays come from, and
    may be changed. More than `max_bad` clips that cannot be read, one after the other, are an
    error; items name those that they stand in for.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        order: Order,
        request: Request,
        reader: ShardReader,
        *,
        seed: int | None,
        max_bad: int,
    ) -> None:
        self._catalogue = catalogue
        self._order = order
        self._request = request
        self._reader = reader
        self._seed = seed
        self._max_bad = max_bad
        self._shapes = request.shapes(*catalogue.size)
        self.recycler = Recycler()

    def sample(self, turn: Turn) -> ClipSample:
        """The sample of a turn of one. Raises BadSample and StorageError."""
        arrays = self.recycler.take(self._shapes)
        key, indices, skipped = self._fill(arrays, turn.places[0])
        return ClipSample(
            key=key,
            position=turn.positions[0],
            frame_indices=np.array(indices, np.int64),
            consumed=turn.consumed,
            skipped=skipped,
        ).with_arrays(arrays)

    def batch(self, turn: Turn) -> ClipBatch:
        """The samples of a turn, decoded in place. Raises as `sample`."""
        size = len(turn.places)
        arrays = self.recycler.take({name: (size, *s) for name, s in self._shapes.items()})
        filled = [
            self._fill({name: array[row] for name, array in arrays.items()}, place)
            for row, place in enumerate(turn.places)
        ]
        keys, indices, skipped = zip(*filled, strict=True)
        return ClipBatch(
            key=keys,
            positions=tuple(turn.positions),
            frame_indices=np.array(indices, np.int64),
            consumed=turn.consumed,
            skipped=tuple(line for lines in skipped for line in lines),
        ).with_arrays(arrays)

    def _fill(
        self, out: Mapping[str, np.ndarray], place: Place
    ) -> tuple[str, list[int], tuple[str, ...]]:
        """Fill a sample's arrays; its key, its frames, and what it stands in for."""
        draw = None
        if self._seed is not None:
            draw = (self._seed, place.source, place.epoch, place.index)
        skipped: list[str] = []
        for tries in range(self._order.sources[place.source].size):
            chosen = self._order.stand_in(place, tries)
            shard = self._catalogue.sources[chosen.source].shards[chosen.shard]
            clip = shard.clips[chosen.clip]
            try:
                members = self._reader.read(shard, clip)
                if shard.latents is not None:
                    latents = self._reader.read(shard.latents, shard.latents.clips[chosen.clip])
                    members = {**latents, **members}
                indices = fill_sample(out, members, clip, self._request, draw)
            except (BadSample, BadTar) as error:
                skipped.append(_reason(shard, clip, error))
                check_skipped(skipped, self._max_bad)
            else:
                return clip.key, indices, tuple(skipped)
        raise BadSample(f"no clip of this source can be read; the last: {skipped[-1]}")


def check_skipped(skipped: Sequence[str], max_bad: int) -> None:
    """Raise BadSample if there are more than `max_bad` lines of clips that cannot be read."""
    if len(skipped) > max_bad:
        raise BadSample(
            f"{len(skipped)} clips cannot be read, and max_bad is {max_bad}; "
            f"the last: {skipped[-1]}"
        )


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
