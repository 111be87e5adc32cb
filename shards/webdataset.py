"""Decoded clips for pipelines of `webdataset`: split over nodes and workers, shuffled, and safe.

    from shards.webdataset import clips

    pipeline = clips("out", modalities=["rgb", "pose"], frames=8)
    batches = pipeline.to_tuple("rgb", "pose").batched(4)
    loader = webdataset.WebLoader(batches, batch_size=None, num_workers=4)

Clips are read by the offsets of the manifests, not by webdataset's own reading of tars: no URL
becomes a shell command, nothing is unpickled, and what is damaged is an error, never half a clip.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import webdataset
from webdataset.utils import pytorch_worker_info

from shards.errors import BadSample, BadTar
from shards.mix import DataPath, Mixture, open_mixture
from shards.reader import Dataset
from shards.sample.codec import decode_clip
from shards.sample.modalities import MODALITIES
from shards.stream.cache import ShardCache
from shards.stream.catalogue import Catalogue, make_catalogue
from shards.stream.order import SourceOrder
from shards.stream.shard_reader import ShardReader

__all__ = ["ClipPipeline", "clips"]


class ClipPipeline(webdataset.DataPipeline, webdataset.FluidInterface):
    """A pipeline of clips, with all of webdataset's methods (`map`, `to_tuple`, `batched`, …)."""

    def set_epoch(self, epoch: int) -> None:
        """Shuffle the next iteration by this number; give every node the same.

        Without it each iteration of this object is the next epoch. Worker processes that are
        started for each epoch know nothing of the one before, and would repeat it: call this
        first, as for torch's DistributedSampler.
        """
        self.pipeline[0].epoch = epoch


def clips(
    data: Mixture | Dataset | DataPath | Sequence[Dataset | DataPath],
    *,
    split: str | None = None,
    modalities: Collection[str] | None = None,
    frames: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    window: int = 16,
    cache: str | os.PathLike[str] | None = None,
    cache_limit: int = 100 * 2**30,
    handler: Callable[[Exception], bool] = webdataset.reraise_exception,
) -> ClipPipeline:
    """A pipeline of a dataset's clips, each exactly once an epoch over all nodes and workers.

    A sample is a dictionary: `__key__`, `__url__` (its shard), `json` (the clip's metadata), and
    an array for each modality, as in `Clip`: rgb (T, H, W, 3) uint8, depth_person (T, H, W)
    float32, ….

    Nodes and workers are those that webdataset itself sees: torch.distributed, or RANK and
    WORLD_SIZE, and the DataLoader's workers. They may differ by one clip; `with_epoch` evens that
    out.

    Args:
        data, split, window, cache, cache_limit: as for `ClipStream`, but for mixtures with weights.
        modalities: which arrays to decode, names of `Clip`'s fields; rgb always comes along.
            Unless given, all that the first clip has.
        frames: the first so many frames of each clip; shorter clips are left out. Unless given,
            all frames.
        shuffle: shards, and the clips of `window` of them together, by `seed` and epoch.
        handler: what to do about a clip that cannot be read, as everywhere in webdataset:
            `webdataset.warn_and_continue` skips it.

    Raises:
        ValueError: a mixture with weights; no frames.
        NotADataset, StorageError: as `ClipStream`.
        BadSample: clips lack a modality, or differ in size. While iterating, as BadTar: a clip is
            damaged; the message names shard and key.
    """
    if frames is not None and frames < 1:
        raise ValueError(f"frames must be at least 1, not {frames}")
    mixture = open_mixture(data)
    if mixture.weights is not None:
        raise ValueError("a mixture with weights: stream it by ClipStream, or mix pipelines")
    shards = [shard for dataset in mixture.datasets for shard in dataset.shards_of(split)]
    if modalities is None:
        first = next(sample for shard in shards for sample in shard.manifest.samples)
        modalities = first.sizes.keys() & MODALITIES.keys()  # others' tars may hold more
    wanted = {"rgb", *modalities}
    catalogue = make_catalogue([shards], frames=frames or 1, stored=wanted)
    source = _Source(
        catalogue,
        SourceOrder(catalogue.sources[0].counts, seed, window=window, shuffled=shuffle),
        wanted,
        frames,
        None if cache is None else ShardCache(cache, cache_limit),
        handler,
    )
    return ClipPipeline(source)


class _Source:
    """The pipeline's first stage: this worker's part of an epoch each time it is called."""

    def __init__(
        self,
        catalogue: Catalogue,
        order: SourceOrder,
        modalities: Collection[str],
        frames: int | None,
        cache: ShardCache | None,
        handler: Callable[[Exception], bool],
    ) -> None:
        self._catalogue = catalogue
        self._order = order
        self._modalities = modalities
        self._frames = frames
        self._cache = cache
        self._handler = handler
        self.epoch = 0

    def __call__(self) -> Iterator[dict[str, Any]]:
        rank, world_size, worker, workers = pytorch_worker_info()
        epoch, self.epoch = self.epoch, self.epoch + 1
        reader = ShardReader(self._cache, limit=self._order.window)  # of this process alone
        for index in range(rank * workers + worker, self._order.size, world_size * workers):
            place = self._order.at(epoch, index)
            shard = self._catalogue.sources[0].shards[place.shard]
            entry = shard.clips[place.clip]
            try:
                members = [(name, bytes(data)) for name, data in reader.read(shard, entry).items()]
                clip = decode_clip(
                    members,
                    modalities=self._modalities,
                    frames=None if self._frames is None else range(self._frames),
                )
            except (BadSample, BadTar) as error:
                what = f"{shard.url}: sample {entry.key}"
                text = str(error).removeprefix(f"{what}: ")
                if self._handler(type(error)(f"{what}: {text}")):
                    continue
                return
            yield {"__key__": clip.key, "__url__": shard.url, "json": clip.info, **clip.arrays}
