"""The clips of a run, in batches."""

from __future__ import annotations

from collections.abc import Iterator

from idol.config.train import TrainConfig
from idol.data.parts import parts_of
from idol.data.preparation import MODALITIES
from idol.encoders.vae_identity import identify_vae
from shards.latents.info import folder_name
from shards.stream import ClipBatch, ClipStream
from shards.stream.loader import ClipLoader, to_tensors

__all__ = ["first_clips", "latents_folder", "open_training"]

# Clips at a time where no gradient is needed, if they divide what is asked for.
_BATCHES = (4, 3, 2, 1)


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
        latents=latents_folder(config) or False,
        window=data.window,
        endless=True,
        cache=data.cache,
        cache_limit=data.cache_limit,
    )
    stream.load_state_dict({"consumed": consumed})
    for batch in ClipLoader(stream, workers=data.workers, pin_memory=pin_memory):
        assert isinstance(batch, ClipBatch)
        yield batch


def latents_folder(config: TrainConfig) -> str | None:
    """Which cached latents the run takes: those of its VAE and size; None for pictures.

    Raises ShardsError for a VAE that cannot be told.
    """
    if not config.data.latents or config.vae is None:
        return None
    return folder_name(identify_vae(config.vae).sha256, config.data.size)


def first_clips(
    config: TrainConfig, split: str, count: int, *, pictures: bool = False
) -> Iterator[ClipBatch]:
    """The first `count` clips of a split, always the same, as tensors, in small batches.

    Of a mixture those of the datasets that have the split, by their weights.
    `pictures`: also where the run takes cached latents.
    """
    data = config.data
    parts = parts_of(config.shards)
    if split != "train":
        parts = parts.having(split)
    size = next(size for size in _BATCHES if count % size == 0)
    stream = ClipStream(
        parts,
        frames=config.frames,
        batch_size=size,
        modalities=MODALITIES[config.stage],
        depth=data.depth,
        cut=data.cut if config.stage == "pretrain" else "reference",
        split=split,
        latents=False if pictures else latents_folder(config) or False,
        shuffle=False,
        cache=data.cache,
        cache_limit=data.cache_limit,
    )
    for _, batch in zip(range(count // size), stream, strict=False):
        assert isinstance(batch, ClipBatch)
        yield to_tensors(batch)
