"""`ClipStream`: the samples of a rank, in an order that depends on the seed alone."""

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from shards.mix import DataPath, Mixture, open_mixture
from shards.reader import Dataset
from shards.sample.modalities import Depth
from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.cache import Prefetcher, ShardCache
from shards.stream.catalogue import attach_latents, make_catalogue
from shards.stream.foreground import Cut, Hole
from shards.stream.order import Order, SourceOrder, samples_in_block
from shards.stream.recycle import Recycler
from shards.stream.request import Request, depth_there, modalities_there
from shards.stream.sample_builder import SampleBuilder, Turn, check_skipped
from shards.stream.shard_reader import ShardReader
from shards.threads import map_ahead

__all__ = ["ClipStream", "check_batches"]

_Item = TypeVar("_Item", ClipBatch, ClipSample)

_log = logging.getLogger(__name__)

_THREADS = "clips"  # the names of threads begin so


class ClipStream:
    """Samples of one or several datasets, exact, elastic and resumable.

    All ranks together walk one order of samples, a function of `seed` and the epoch; rank r of
    `world_size` takes every `world_size`-th, by `samples()` or `batches(size)`. `state_dict()` is
    one integer, the samples consumed by all ranks: from it any number of ranks and workers resumes
    with the same global batches.

    data            an opened dataset (`open_dataset`) or mixture (`open_mixture`), whose manifests
                    are not read again; or the path, local or `s3://…`, of a dataset, a split's
                    folder or a tar; or several of these. Or the path of a mix file or its folder,
                    which brings weights along; see `shards.mix`.
    frames          T: frames of a sample; clips with fewer are left out.
    modalities      which of rgb (always there), mask, pose, depth, further ones of the table and
                    reference (foreground and background) to decode; unless given, all that the
                    first clip has.
    depth           person or frame; unless given, the one that is there, person of both.
    cut             foreground and background are those stored ("reference"), or are cut from the
                    image itself, by the rules of "hap" or "haop" pre-training.
    hole            what a background has where the person is: mid grey ("grey", the paper), or what
                    surrounds the person ("filled"), which has no outline of theirs.
    max_frame_step  largest distance between successive frames of a sample, in frames of the clip;
                    drawn from 1 up to it for each sample.
    crop_area, mirror
                    random crop (lowest and highest fraction of the area) and probability of a
                    mirror image, the same for all images of a sample, but that the foreground is
                    not cropped; skeletons are drawn again.
    weights         one for each dataset: mix them in these proportions, each at its own pace.
                    Without them all are shuffled together, and an epoch has each clip once.
    split           of a dataset given by its root: `train`, or the only one, unless given.
    shuffle         False: clips as stored, first frames, nothing drawn; for evaluation.
    window          shards shuffled together, and so open at a time.
    endless         False: an iteration ends with the epoch, where ranks may differ by one sample,
                    and the next begins the next epoch. True: epochs flow into each other.
    cache, cache_limit
                    folder for whole shards of an object store, and its size in bytes; without one
                    clips are read by ranged requests. Local shards are read where they are.
                    While one window of shards is read, the next is downloaded.
    latents         take cached latents (`idol-prep encode`) in place of the images that have
                    them: rgb, pose, depth and, with cut "reference", background. True, or the name
                    of their folder where there are several. Not with `crop_area` or `mirror`.
    max_bad         clips that cannot be read are replaced, counted and logged up to this many in
                    a process, each by the next of the order; see `skipped`.

    Raises ValueError, NotADataset, BadSample, LatentsMissing or StorageError at once for what
    cannot work;
    BadSample while iterating when more than `max_bad` clips cannot be read.
    """

    def __init__(
        self,
        data: Mixture | Dataset | DataPath | Sequence[Dataset | DataPath],
        *,
        frames: int = 8,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        modalities: Collection[str] | None = None,
        depth: Depth | None = None,
        cut: Cut = "reference",
        hole: Hole = "grey",
        max_frame_step: int = 4,
        crop_area: tuple[float, float] = (1.0, 1.0),
        mirror: float = 0.0,
        weights: Sequence[float] | None = None,
        split: str | None = None,
        shuffle: bool = True,
        window: int = 16,
        endless: bool = False,
        cache: str | os.PathLike[str] | None = None,
        cache_limit: int = 100 * 2**30,
        latents: str | bool = False,
        max_bad: int = 100,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not one of {world_size}")
        mixture = open_mixture(data, weights)
        chosen = [dataset.shards_of(split) for dataset in mixture.datasets]
        cached = (mixture.with_latents(latents).latents or ()) if latents else ()
        found = [[shard for shards in chosen for shard in shards]]
        if mixture.weights is not None:
            found = [list(shards) for shards in chosen]
        there = next(s.sizes.keys() for shard in found[0] for s in shard.manifest.samples)
        depth = depth_there(there) if depth is None else depth
        request = Request(
            frames=frames,
            modalities=(
                modalities_there(there, depth, cut)
                if modalities is None
                else frozenset({"rgb", *modalities})
            ),
            depth=depth,
            cut=cut,
            hole=hole,
            max_frame_step=max_frame_step,
            crop_area=crop_area,
            mirror=mirror,
            latents=cached[0].info if cached else None,
        )
        catalogue = make_catalogue(found, frames=frames, stored=request.stored)
        if cached:
            latents_of = list(zip(cached, chosen, strict=True))
            catalogue = attach_latents(catalogue, latents_of, request.cached.values())
        sources = [
            SourceOrder(source.counts, seed, number, window, shuffle)
            for number, source in enumerate(catalogue.sources)
        ]
        self._order = Order(tuple(sources), seed, _samples_of_each(mixture))
        shard_cache = None if cache is None else ShardCache(cache, cache_limit)
        self._prefetcher: Prefetcher | None = None
        if shard_cache is not None:
            self._prefetcher = Prefetcher(shard_cache, catalogue, self._order)
        self._builder = SampleBuilder(
            catalogue,
            self._order,
            request,
            ShardReader(shard_cache, limit=window * len(sources) * (2 if latents else 1)),
            seed=seed if shuffle else None,
            max_bad=max_bad,
        )
        self._rank, self._world_size = rank, world_size
        self._endless = endless
        self._max_bad = max_bad
        self._skipped: list[str] = []
        self._consumed = 0

    def samples(self) -> Iterator[ClipSample]:
        """One sample at a time from the state on: to the end of the epoch, or `endless`.

        Raises BadSample when more than `max_bad` clips cannot be read, and StorageError.
        """
        return self._delivered(self._builder.sample(turn) for turn in self._turns(1))

    def batches(self, size: int, *, workers: int = 0, prefetch: int = 2) -> Iterator[ClipBatch]:
        """Batches of `size` samples on this rank, decoded in place; an epoch's last may be short.

        Threads build them, `workers` in number, each `prefetch` batches ahead; with none they are
        built as they are asked for. The batches are the same for any number. Leaving the loop ends
        the threads. A batch may be kept: its memory is used again only when nothing holds it.
        Raises as `samples`, and ValueError for a size, or numbers of workers, that cannot be.
        """
        check_batches(size, workers, prefetch)
        build, turns = self._builder.batch, self._turns(size)
        if not workers:
            return self._delivered(map(build, turns))
        # Those that are ready or at work, and what the loop holds: the batch in use and the next.
        self._builder.recycler = Recycler(keep=workers * prefetch + 3)
        return self._delivered(map_ahead(build, turns, workers, workers * prefetch, _THREADS))

    @property
    def skipped(self) -> tuple[str, ...]:
        """One line for each clip that could not be read, naming shard and key."""
        return tuple(self._skipped)

    @property
    def epoch_size(self) -> int:
        """Samples in an epoch, over all ranks."""
        return self._order.size

    def state_dict(self) -> dict[str, int]:
        """`{"consumed": samples consumed by all ranks}`, once this rank's last item is used."""
        return {"consumed": self._consumed}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Resume from a state. Raises ValueError for anything else."""
        if set(state) != {"consumed"} or not _is_count(state["consumed"]):
            raise ValueError(
                f"not the state of a stream, which is {{'consumed': n}}: {dict(state)}"
            )
        self._consumed = state["consumed"]

    def _end(self) -> int | None:
        """The state at the end of an iteration that begins now; None if it is endless."""
        size = self.epoch_size
        return None if self._endless else (self._consumed // size + 1) * size

    def _turns(self, size: int) -> Iterator[Turn]:
        """This rank's part of each global batch, in order, from the state on."""
        start, end = self._consumed, self._end()
        while end is None or start < end:
            after = start + size * self._world_size
            after = after if end is None else min(after, end)
            positions = range(start + self._rank, after, self._world_size)
            if not positions:  # the epoch's last samples went to the ranks before this one
                return
            places = [self._order.place(position) for position in positions]
            if self._prefetcher is not None:
                for place in places:
                    self._prefetcher.reached(place)
            yield Turn(positions, places, after)
            start = after

    def _delivered(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """Items as they are taken, with the state after each, and what they stand in for counted.

        Each clip that cannot be read counts once, in the order of items, whichever thread met it.
        """
        end = self._end()
        for item in items:
            for reason in item.skipped:
                if reason not in self._skipped:
                    self._skipped.append(reason)
                    _log.warning("left out: %s", reason)
                    check_skipped(self._skipped, self._max_bad)
            self._consumed = item.consumed
            yield item
        if end is not None:
            self._consumed = end


def check_batches(size: int, workers: int, prefetch: int) -> None:
    """Raise ValueError for what `ClipStream.batches` cannot do."""
    if size < 1:
        raise ValueError(f"a batch must have at least 1 sample, not {size}")
    if workers < 0 or prefetch < 1:
        raise ValueError(
            f"workers must be 0 or more and prefetch 1 or more, not {workers} and {prefetch}"
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _samples_of_each(mixture: Mixture) -> tuple[int, ...]:
    """Of a block. Raises ValueError, naming the datasets, for weights that do not fit."""
    if not mixture.weights:
        return (1,)
    try:
        return samples_in_block(mixture.weights)
    except ValueError as error:
        parts = zip(mixture.weights, mixture.datasets, strict=True)
        listed = ", ".join(f"{weight:g} of {dataset.url}" for weight, dataset in parts)
        raise ValueError(f"{error}: {listed}") from error
