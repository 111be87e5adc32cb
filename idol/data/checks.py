"""What a stage needs of its shards, checked from their manifests before anything is loaded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from idol.config.train import TrainConfig
from idol.data.parts import has_split, parts_of
from idol.train.data import latents_folder
from idol.train.errors import raise_if_any
from shards.errors import LatentsMissing
from shards.latents.find import open_latents, sidecars_of
from shards.manifest import Sample
from shards.reader import Dataset, Shard
from shards.stream.order import shares

__all__ = ["check_latents", "check_shards", "shards_digest"]

_MADE_BY = {
    "rgb": "`idol-prep build`",
    "mask": "`idol-prep build --mask lite`",
    "pose": "`idol-prep build --pose lite`",
    "keypoints": "`idol-prep build --pose lite`, or leave out --mirror and --crop-area",
    "depth_person": "`idol-prep build --depth lite` (or train with --depth frame, if it is there)",
    "depth_frame": "`idol-prep build --depth midas` (or train with --depth person, if it is there)",
    "reference": "`idol-prep build --mask lite`, which keeps each video's reference frame",
    "reference_mask": "`idol-prep build --mask lite`",
}


def check_shards(config: TrainConfig) -> None:
    """Check that every dataset, also those of a mixture, has what the stage needs.

    Raises:
        TrainError: naming everything that is lacking, where, and how it is made.
        ShardsError: a path is no dataset, or one without clips.
        ValueError: a mixture is not alone.
    """
    parts = parts_of(config.shards)
    mistakes = _mistakes(parts.datasets, config)
    if _looks_at_val(config):
        mistakes += _mistakes(parts.having("val").datasets, config, "val")
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
    parts = parts_of(config.shards)
    held_out = parts.having("val").datasets
    for dataset, split in [*((d, None) for d in parts.datasets), *((d, "val") for d in held_out)]:
        try:
            sidecars_of(open_latents(dataset, wanted), dataset.shards_of(split))
        except LatentsMissing as error:
            mistakes.append(str(error))
    raise_if_any(mistakes, f"--latents of {config.vae} at --size {config.data.size} are missing")


def shards_digest(paths: Sequence[str]) -> str:
    """SHA-256 over the checksums of all shards in their order: the data's identity.

    Of a mixture with each dataset's samples in a block, to which the weights come.
    """
    digest = hashlib.sha256()
    parts = parts_of(paths)
    counts = shares(parts.weights) if parts.weights else None
    for number, dataset in enumerate(parts.datasets):
        if counts is not None:
            digest.update(f"mixed {counts[number]}\n".encode())
        for shard in dataset.shards_of():
            manifest = shard.manifest
            digest.update(f"{manifest.sha256} {manifest.bytes} {len(manifest.samples)}\n".encode())
    return digest.hexdigest()


def needed(config: TrainConfig) -> tuple[str, ...]:
    """Members that every clip must have, as `shards.sample.members` calls them."""
    if config.stage == "pretrain":
        return ("rgb", "mask")
    drawn = ("keypoints",) if config.data.moves_images else ()
    return ("rgb", "pose", *drawn, f"depth_{config.data.depth}", "reference", "reference_mask")


def _looks_at_val(config: TrainConfig) -> bool:
    report = config.report
    return report.validate_every != 0 or report.sample_every != 0


def _mistakes(
    datasets: Sequence[Dataset], config: TrainConfig, split: str | None = None
) -> list[str]:
    mistakes = []
    clips: list[tuple[Shard, Sample]] = []
    for dataset in datasets:
        shards = dataset.shards_of(split)
        where = dataset.url + (f", split {split}" if split else "")
        mistakes += [f"{where}: {lack}" for lack in _lacks(shards, config)]
        clips += [(shard, sample) for shard in shards for sample in shard.manifest.samples]
    return mistakes + _sizes([clip for clip in clips if clip[1].frames >= config.frames])


def _lacks(shards: Sequence[Shard], config: TrainConfig) -> list[str]:
    samples = [sample for shard in shards for sample in shard.manifest.samples]
    lacks = []
    long_enough = [sample for sample in samples if sample.frames >= config.frames]
    if not long_enough:
        longest = max(sample.frames for sample in samples)
        otherwise = f"train with --frames {longest}" if longest > 1 else "train stage image on them"
        lacks.append(
            f"no clip has {config.frames} frames, the longest has {longest}: `idol-prep build "
            f"--clip-length {config.frames}` makes longer ones, or {otherwise}"
        )
    counted = long_enough or samples
    absent = Counter(
        name for sample in counted for name in needed(config) if not sample.sizes.get(name)
    )
    return lacks + [
        f"{count} of {len(counted)} clips have no {name}: make it with {_MADE_BY[name]}"
        for name, count in absent.items()
    ]


def _sizes(clips: Sequence[tuple[Shard, Sample]]) -> list[str]:
    """What is wrong with the sizes of clips that are streamed together."""
    found: dict[tuple[int, int], list[str]] = {}
    unknown = []
    for shard, sample in clips:
        name = f"{shard.url}: {sample.key}"
        if sample.width is None or sample.height is None:
            unknown.append(name)
        else:
            found.setdefault((sample.width, sample.height), []).append(name)
    mistakes = []
    if unknown:
        mistakes.append(f"{len(unknown)} clips do not say their size, such as {unknown[0]}")
    if len(found) > 1:
        some = [f"{len(c)} of {w}x{h}, such as {c[0]}" for (w, h), c in found.items()]
        mistakes.append(
            f"clips of a batch have one size, but there are {'; '.join(some[:3])}"
            f"{'; …' if len(some) > 3 else ''}: build all with one --size, or train on those of one"
        )
    return mistakes
