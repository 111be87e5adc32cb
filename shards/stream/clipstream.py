"""`ClipStream`: the samples of a rank, in an order that depends on the seed alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

from shards.mix import DataPath, Mixture, open_mixture
from shards.reader import Dataset
from shards.stream.batch import ClipBatch, ClipSample
from shards.stream.cache import ShardCache
from shards.stream.catalogue import make_catalogue
from shards.stream.foreground import Cut
from shards.stream.order import Order, SourceOrder, shares
from shards.stream.prefetch import DownloadAhead
from shards.stream.recycle import Memory
from shards.stream.request import Depth, Request, depth_there, modalities_there
from shards.stream.sample_builder import SampleMaker
from shards.stream.shard_reader import ShardFiles
from shards.stream.sidecars import attach_latents
from shards.stream.torchbase import IterableDataset, worker_turn

__all__ = ["ClipStream"]


class ClipStream(IterableDataset):
    """Samples of one or several datasets, exact, elastic and resumable.

    All ranks together walk one order of samples, a function of `seed` and the epoch; rank r of
    `world_size` takes every `world_size`-th. `state_dict()` is one integer, the samples consumed
    by all ranks: from it any number of ranks and workers goes on with the same global batches.

    data            an opened dataset (`open_dataset`) or mixture (`open_mixture`), whose manifests
                    are not read again; or the path, local or `s3://…`, of a dataset, a split's
                    folder or a tar; or several of these. Or the path of a mix file or its folder,
                    which brings weights along; see `shards.mix`.
    frames          T: frames of a sample; clips with fewer are left out.
    batch_size      None yields a `ClipSample` at a time; a number yields a `ClipBatch` of so many
                    on this rank, decoded in place. Give torch's DataLoader `batch_size=None`, so
                    that its workers take turns by whole batches and change nothing.
    modalities      which of rgb (always there), mask, pose, depth, further ones of the table and
                    reference (foreground and background) to decode; unless given, all that the
                    first clip has.
    depth           person or frame; unless given, the one that is there, person of both.
    cut             foreground and background come from the reference frame ("reference"), or
                    from the image itself, by the rules of "hap" or "haop" pre-training.
    max_frame_step  a sample's frames are 1 to so many frames of the clip apart, as drawn.
    crop_area, mirror
                    random crop (lowest and highest share of the area) and probability of a mirror
                    image, the same for all pictures of a sample; skeletons are drawn anew.
    weights         one for each dataset: mix them in these proportions, each at its own pace.
                    Without them all are shuffled together, and an epoch has each clip once.
    split           of a dataset given by its root: `train`, or the only one, unless given.
    shuffle         False: clips as stored, first frames, nothing drawn; for evaluation.
    window          shards shuffled together, and so open at a time.
    endless         False: an iteration ends with the epoch, where ranks may differ by one sample,
                    and the next goes on with the next epoch. True: epochs flow into each other.
    cache, cache_limit
                    folder for whole shards of an object store, and its size in bytes; without one
                    clips are read by ranged requests. Local shards are read where they are.
                    While one window of shards is read, the next is downloaded.
    latents         take cached latents (`idol-prep encode`) in place of the pictures that have
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
        batch_size: int | None = None,
        modalities: Collection[str] | None = None,
        depth: Depth | None = None,
        cut: Cut = "reference",
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
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        mixture = open_mixture(data, weights)
        chosen = [dataset.shards_of(split) for dataset in mixture.datasets]
        cached = (mixture.with_latents(latents).latents or ()) if latents else ()
        found = [[shard for shards in chosen for shard in shards]]
        if mixture.weights is not None:
            found = [list(shards) for shards in chosen]
        there = next(s.sizes for shard in found[0] for s in shard.manifest.samples)
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
            max_frame_step=max_frame_step,
            crop_area=crop_area,
            mirror=mirror,
            latents=cached[0].info if cached else None,
        )
        catalogue = make_catalogue(found, frames=frames, stored=request.stored)
        if cached:
            catalogue = attach_latents(catalogue, list(zip(cached, chosen, strict=True)), request)
        sources = [
            SourceOrder(source.counts, seed, number, window, shuffle)
            for number, source in enumerate(catalogue.sources)
        ]
        self._order = Order(
            tuple(sources), seed, shares(mixture.weights) if mixture.weights else (1,)
        )
        shard_cache = None if cache is None else ShardCache(cache, cache_limit)
        self._maker = SampleMaker(
            catalogue,
            self._order,
            request,
            ShardFiles(shard_cache, limit=window * len(sources) * (2 if latents else 1)),
            None if shard_cache is None else DownloadAhead(shard_cache, catalogue, self._order),
            seed=seed if shuffle else None,
            max_bad=max_bad,
        )
        self._rank, self._world_size = rank, world_size
        self._batch_size = batch_size
        self._endless = endless
        self._consumed = 0
        # In a worker: where it goes on, and where the epoch ends; first as loaded, then as it is.
        self._restored: tuple[int, int | None] | None = None
        self._own: tuple[int, int | None] | None = None

    @property
    def skipped(self) -> tuple[str, ...]:
        """One line for each clip that this process could not read, naming shard and key."""
        return tuple(self._maker.skipped)

    def count_skipped(self, reasons: Sequence[str]) -> None:
        """Count what items from workers say in `skipped`. Raises BadSample beyond `max_bad`."""
        self._maker.count_skipped(reasons)

    def use_memory(self, memory: Memory) -> None:
        """Take arrays from there instead of a `Recycler`."""
        self._maker.memory = memory

    @property
    def epoch_size(self) -> int:
        """Samples in an epoch, over all ranks."""
        return self._order.size

    def state_dict(self) -> dict[str, int]:
        """`{"consumed": samples consumed by all ranks}`, once this rank's last item is used.

        In a DataLoader's worker, whose last item is still on its way, where this worker goes on:
        for torchdata's StatefulDataLoader, which brings each worker its own state back. Items
        themselves carry `consumed`, and `ClipLoader` keeps it for the whole.
        """
        if self._own is None:
            return {"consumed": self._consumed}
        own, end = self._own
        return {"worker_next": own} | ({} if end is None else {"worker_end": end})

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a state. Raises ValueError for what is none."""
        if set(state) == {"consumed"} and state["consumed"] >= 0:
            self._consumed, self._own, self._restored = state["consumed"], None, None
        elif "worker_next" in state:
            self._own = self._restored = state["worker_next"], state.get("worker_end")
        else:
            raise ValueError(
                f"not the state of a stream, which is {{'consumed': n}}: {dict(state)}"
            )

    def epoch_end(self) -> int | None:
        """The state at the end of an iteration that begins now; None if it is endless."""
        size = self.epoch_size
        return None if self._endless else (self._consumed // size + 1) * size

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of an item; an epoch's last may have fewer samples."""
        return self._maker.shapes(*([] if self._batch_size is None else [self._batch_size]))

    def __iter__(self) -> Iterator[ClipSample] | Iterator[ClipBatch]:
        """From the state on; with `endless`, for ever, otherwise to the end of the epoch.

        In a torch DataLoader's worker: its share of the items.
        """
        turn = worker_turn()
        return self._items(0, 1, own=False) if turn is None else self._items(*turn, own=True)

    def share(self, worker: int, workers: int) -> Iterator[ClipSample] | Iterator[ClipBatch]:
        """Every item of number `worker` modulo `workers`, of those that iterating would give."""
        return self._items(worker, workers, own=True)

    def _items(
        self, worker: int, workers: int, *, own: bool
    ) -> Iterator[ClipSample] | Iterator[ClipBatch]:
        stride = (self._batch_size or 1) * self._world_size
        restored, self._restored = self._restored, None
        start, end = restored or (self._consumed + worker * stride, self.epoch_end())
        while end is None or start < end:
            after = start + stride if end is None else min(start + stride, end)
            positions = range(start + self._rank, after, self._world_size)
            start += workers * stride
            if not positions:  # the epoch's last samples went to the ranks before this one
                break
            item: ClipSample | ClipBatch
            if self._batch_size is None:
                item = self._maker.sample(positions[0], after)
            else:
                item = self._maker.batch(positions, after)
            if own:
                self._own = start, end
            else:
                self._consumed = after
            yield item
        if end is not None:
            self._consumed, self._own = end, None
