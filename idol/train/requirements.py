"""What a stage needs of its shards, checked from their manifests before anything is loaded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from idol.train.config import TrainConfig
from idol.train.data import latents_folder
from idol.train.errors import raise_if_any
from shards.errors import LatentsMissing, NotADataset
from shards.latents.find import sidecars_of
from shards.reader import Shard
from shards.stream.catalogue import find_shards

__all__ = ["check_latents", "check_shards", "has_split", "shards_digest"]

_MADE_BY = {
    "rgb": "`idol-prep build`",
    "mask": "`idol-prep build --mask lite`",
    "pose": "`idol-prep build --pose lite`",
    "keypoints": "`idol-prep build --pose lite`, or leave out --mirror and --crop-area",
    "hdnet": "`idol-prep build --depth lite` (or train with --depth midas, if that is there)",
    "midas": "`idol-prep build` with MiDaS depth (or train with --depth hdnet, if that is there)",
    "reference": "`idol-prep build --mask lite`, which keeps each video's reference frame",
    "reference_mask": "`idol-prep build --mask lite`",
}


def check_shards(config: TrainConfig) -> None:
    """Check that every path has what the stage needs.

    Raises:
        TrainError: naming everything that is lacking, where, and how it is made.
        ShardsError: a path is no dataset.
    """
    mistakes = []
    for path in config.shards:
        [shards] = find_shards(path)
        mistakes += [f"{path}: {lack}" for lack in _lacks(shards, config)]
        if _looks_at_val(config) and has_split(path, "val"):
            [shards] = find_shards(path, split="val")
            mistakes += [f"{path}, split val: {lack}" for lack in _lacks(shards, config)]
    if config.report.validate_every:
        mistakes += [
            f"{path}: has no val split for --validate-every: `idol-prep build --val-fraction 0.1` "
            "holds some videos out, or set --validate-every 0"
            for path in config.shards
            if not has_split(path, "val")
        ]
    raise_if_any(mistakes, f"stage {config.stage!r} cannot be trained on these shards")


def check_latents(config: TrainConfig) -> None:
    """Check that cached latents, if the run takes them, are there, current, and of its VAE.

    Raises:
        TrainError: naming each dataset that lacks them, and how they are made.
        ShardsError: the VAE cannot be told.
    """
    wanted = latents_folder(config)
    if wanted is None:
        return
    mistakes = []
    for path in config.shards:
        for split in ("train", "val") if has_split(path, "val") else (None,):
            try:
                sidecars_of(find_shards(path, split=split)[0], wanted)
            except LatentsMissing as error:
                mistakes.append(str(error))
    raise_if_any(mistakes, f"--latents of {config.vae} at --size {config.data.size} are missing")


def has_split(path: str, split: str) -> bool:
    """Whether the dataset at `path` has a split of this name, with clips in it."""
    try:
        [shards] = find_shards(path, split=split)
    except NotADataset:
        return False
    return any(s.manifest.split == split and s.manifest.samples for s in shards)


def shards_digest(paths: Sequence[str]) -> str:
    """SHA-256 over the checksums of all shards in their order: the data's identity."""
    digest = hashlib.sha256()
    for path in paths:
        for shard in find_shards(path)[0]:
            manifest = shard.manifest
            digest.update(f"{manifest.sha256} {manifest.bytes} {len(manifest.samples)}\n".encode())
    return digest.hexdigest()


def needed(config: TrainConfig) -> tuple[str, ...]:
    """Members that every clip must have, as `shards.members` calls them."""
    if config.stage == "pretrain":
        return ("rgb", "mask")
    moved = config.data.mirror > 0 or config.data.crop_area[0] < 1
    drawn = ("keypoints",) if moved else ()
    return ("rgb", "pose", *drawn, config.data.depth, "reference", "reference_mask")


def _looks_at_val(config: TrainConfig) -> bool:
    report = config.report
    return report.validate_every != 0 or report.sample_every != 0


def _lacks(shards: Sequence[Shard], config: TrainConfig) -> list[str]:
    samples = [sample for shard in shards for sample in shard.manifest.samples]
    lacks = []
    long_enough = [sample for sample in samples if sample.frames >= config.frames]
    if not long_enough:
        longest = max(sample.frames for sample in samples)
        lacks.append(
            f"no clip has {config.frames} frames, the longest has {longest}: `idol-prep build "
            f"--clip-length {config.frames}` makes longer ones, or train with --frames {longest}"
        )
    counted = long_enough or samples
    absent = Counter(
        name for sample in counted for name in needed(config) if not sample.sizes.get(name)
    )
    return lacks + [
        f"{count} of {len(counted)} clips have no {name}: make it with {_MADE_BY[name]}"
        for name, count in absent.items()
    ]
