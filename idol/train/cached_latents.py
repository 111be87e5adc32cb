"""Latents that a run caches for itself, where it would encode the same images again and again.

They are those of `idol-prep encode`, in the run's output: made before its first step, by all its
processes together, shard by shard, so that a run which is stopped goes on with what is lacking.
Whether there are any is a function of configuration and data, and the same when a run resumes.
"""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

from accelerate import Accelerator

from idol.config.encode import EncodeConfig
from idol.config.train import TrainConfig
from idol.data.datasets import DataError, Datasets
from idol.data.latents import encode_shards
from idol.encoders.vae_identity import identify_vae, is_vae
from idol.train.resume import STATE, check_frozen
from idol.train.stopping import TrainError
from shards.files.storage import Store
from shards.inspect.console import human_bytes
from shards.latents import folder_name, latents_rows, open_latents, sidecars_of
from shards.manifest import Sample
from shards.reader import Dataset, Shard

__all__ = ["FOLDER", "caches_latents", "check_latents", "frozen_latents", "with_own_latents"]

_log = logging.getLogger(__name__)

FOLDER = "latents"

# Shown less often, images would cost more to cache than that saves: all frames of all clips are
# encoded, also those that are never drawn, then written and read.
_SHOWN = 2


def caches_latents(config: TrainConfig, data: Datasets, processes: int) -> bool:
    """Whether a run of this configuration, its VAE known, caches latents of its own accord."""
    asked, model = config.data, config.model
    possible = (
        asked.cache_latents
        and not asked.latents
        and not asked.moves_images
        and config.stage in ("image", "video", "distill")
        and model.streams != "joint"
        and model.background_hole == "grey"
        and not model.posed_foreground
        and model.pose_control == "controlnet"
        and config.vae is not None
        and is_vae(config.vae)
    )
    if not possible:
        return False
    shards = _all_shards(data)
    # Of a tar without a manifest nothing tells that it is still the one that was encoded.
    identified = all(shard.manifest.sha256 for shard in shards)
    shown = config.optimizer.steps * config.global_batch(processes) * config.frames
    return identified and shown > _SHOWN * sum(map(_frames, shards))


def check_latents(config: TrainConfig, checkpoint: Path) -> None:
    """`check_frozen` of the VAE whose latents stand for images, before any are made."""
    check_frozen(json.loads((checkpoint / STATE).read_bytes())["frozen"], frozen_latents(config))


def frozen_latents(config: TrainConfig) -> dict[str, str]:
    """The digest of the VAE whose latents stand for images; its network is not loaded for them."""
    assert config.vae is not None
    return {"latents": identify_vae(config.vae).sha256}


def with_own_latents(
    config: TrainConfig, data: Datasets, accelerator: Accelerator
) -> tuple[TrainConfig, Datasets]:
    """The same, with latents in place of images; first those that are lacking are made.

    Raises:
        TrainError: there is no room for them.
        ShardsError, EncodeError: a clip or a VAE cannot be read.
    """
    folder = config.vae
    assert folder is not None
    latents = dataclasses.replace(config.data, latents=True)
    config = dataclasses.replace(config, data=latents)
    data = dataclasses.replace(data, config=config)
    try:  # all of them are beside their datasets
        return config, data.with_latents(folder)
    except DataError:
        pass
    vae = identify_vae(folder)
    name = folder_name(vae.sha256, config.data.size)
    side = config.data.size // vae.factor
    _make_room(config, data, 4 * vae.channels * side * side, accelerator.is_main_process)
    accelerator.wait_for_everyone()
    opened = []
    for number, dataset in enumerate(data.mixture.datasets):
        root, shards = Store.at(config.output / FOLDER / str(number)), _shards(dataset)
        encode = EncodeConfig(
            dataset=dataset.url,
            base=folder,
            size=config.data.size,
            device=str(accelerator.device),
            share=f"{accelerator.process_index}/{accelerator.num_processes}",
        )
        encode_shards(encode, shards, root)
        accelerator.wait_for_everyone()
        opened.append(open_latents(dataset, name, root))
        sidecars_of(opened[-1], shards)
    mixture = dataclasses.replace(data.mixture, latents=tuple(opened))
    return config, dataclasses.replace(data, mixture=mixture)


def _make_room(config: TrainConfig, data: Datasets, image: int, says: bool) -> None:
    """Say how much is cached, of so many bytes an image. Raises TrainError if it is too much."""
    samples = [s for shard in _all_shards(data) for s in shard.manifest.samples]
    needed = image * sum(map(_images, samples))
    folder = config.output / FOLDER
    there = sum(file.stat().st_size for file in folder.rglob("*.tar"))
    free = shutil.disk_usage(config.output).free
    size = human_bytes(needed)
    if needed - there > free:
        raise TrainError(
            f"latents of {len(samples)} clips take {size} in {folder}, and {human_bytes(free)} are "
            "free: give an --output with more room, or --no-cache-latents"
        )
    if says:
        _log.info("latents of %d clips, %s, are made once in %s", len(samples), size, folder)


def _images(sample: Sample) -> int:
    """How many images of a clip are encoded."""
    return sum(
        1 if row.files == "still" else sample.frames
        for row in latents_rows().values()
        if sample.sizes.get(row.name)
    )


def _all_shards(data: Datasets) -> list[Shard]:
    return [shard for dataset in data.mixture.datasets for shard in _shards(dataset)]


def _shards(dataset: Dataset) -> list[Shard]:
    """Those of a dataset that a run reads: to train, to validate."""
    splits = (None, "val") if dataset.has_split("val") else (None,)
    return [*{s.url: s for split in splits for s in dataset.shards_of(split)}.values()]


def _frames(shard: Shard) -> int:
    return sum(sample.frames for sample in shard.manifest.samples)
