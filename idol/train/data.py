"""The clips of a run, in batches, and where each stands in the order."""

from __future__ import annotations

from collections.abc import Iterator

from idol.train.config import TrainConfig
from idol.train.prepare import MODALITIES
from shards.stream import ClipBatch, ClipStream
from shards.stream.loader import ClipLoader, to_tensors

__all__ = ["first_clips", "open_training", "positions_of"]

# Fixed, so that what is measured does not depend on the training batch.
_BATCH = 4


def open_training(
    config: TrainConfig, *, rank: int, processes: int, consumed: int, pin_memory: bool
) -> Iterator[ClipBatch]:
    """This process's batches from `consumed` samples on, for ever. Raises ShardsError."""
    data = config.data
    stream = ClipStream(
        config.shards,
        frames=config.frames,
        seed=config.run.seed,
        rank=rank,
        world_size=processes,
        batch_size=config.run.batch_size,
        modalities=MODALITIES[config.stage],
        depth=data.depth,
        cut=data.cut if config.stage == "pretrain" else "reference",
        max_frame_step=data.max_frame_step,
        crop_area=data.crop_area,
        mirror=data.mirror,
        window=data.window,
        endless=True,
        cache=data.cache,
        cache_limit=data.cache_limit,
    )
    stream.load_state_dict({"consumed": consumed})
    for batch in ClipLoader(stream, workers=data.workers, pin_memory=pin_memory):
        assert isinstance(batch, ClipBatch)
        yield batch


def positions_of(batch: ClipBatch, *, rank: int, processes: int) -> range:
    """Where the batch's samples stand in the order of all ranks."""
    start = batch.consumed - len(batch) * processes
    return range(start + rank, batch.consumed, processes)


def first_clips(config: TrainConfig, split: str, count: int) -> Iterator[ClipBatch]:
    """The first `count` clips of a split, always the same, as tensors, in small batches."""
    data = config.data
    stream = ClipStream(
        config.shards,
        frames=config.frames,
        batch_size=min(count, _BATCH),
        modalities=MODALITIES[config.stage],
        depth=data.depth,
        cut=data.cut if config.stage == "pretrain" else "reference",
        split=split,
        shuffle=False,
        cache=data.cache,
        cache_limit=data.cache_limit,
    )
    for batch, _ in zip(stream, range(0, count, _BATCH), strict=False):
        assert isinstance(batch, ClipBatch)
        yield to_tensors(batch)
