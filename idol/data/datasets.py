"""What a run trains on: datasets that are opened once, checked, and streamed.

Opening reads every manifest, all in one file where a build has finished; whatever asks later
(checks, digest, training, validation, samples) takes the opened datasets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from idol.config.train import TrainConfig
from idol.data.preparation import MODALITIES, weighs
from idol.encoders.vae_identity import identify_vae
from idol.errors import IdolError
from shards.errors import LatentsMissing
from shards.latents import folder_name, open_latents, sidecars_of
from shards.mix import Mixture, open_mixture
from shards.reader import Shard
from shards.stream import ClipBatch, ClipLoader, ClipStream, to_tensors
from shards.stream.catalogue import sizes_of
from shards.stream.request import DEPTH_SCORES, POSED, POSED_DEPTH, Request

__all__ = ["DataError", "Datasets", "open_datasets"]

# Clips at a time where no gradient is needed, if they divide what is asked for.
_BATCHES = (4, 3, 2, 1)

_MADE_BY = {
    "rgb": "`idol-prep build`",
    "mask": "`idol-prep build --mask lite`",
    "pose": "`idol-prep build --pose lite`",
    "keypoints": "`idol-prep build --pose lite`, or leave out --mirror, --crop-area and "
    "--model.posed-foreground",
    "depth_person": "`idol-prep build --depth lite` (or train with --depth frame, if it is there)",
    "depth_frame": "`idol-prep build --depth midas` (or train with --depth person, if it is there)",
    "reference": "`idol-prep build --mask lite`, which keeps a reference frame",
    "reference_mask": "`idol-prep build --mask lite`",
    "background": "`idol-prep build --mask lite`, which keeps a reference frame",
    "background_mask": "`idol-prep build --mask lite`",
}


# Stages that are given poses, and denoise.
_POSED = ("image", "video", "distill")


class DataError(IdolError):
    """Datasets lack what a run needs of them."""


@dataclass(frozen=True)
class Datasets:
    """The opened datasets of a run, and what it asks of their clips; see `open_datasets`.

    Attributes:
        mixture: what `--shards` stands for.
            Its cached latents, if opened, are taken in place of images.
    """

    config: TrainConfig
    mixture: Mixture

    @cached_property
    def request(self) -> Request:
        """What training asks of each clip."""
        data = self.config.data
        return Request(
            frames=self.config.frames,
            modalities=self._modalities,
            depth=data.depth,
            cut=data.cut if self.config.stage == "pretrain" else "reference",
            hole=self.config.model.background_hole,
            max_frame_step=data.max_frame_step,
            crop_area=data.crop_area,
            mirror=data.mirror,
        )

    @property
    def _modalities(self) -> frozenset[str]:
        config = self.config
        wanted = MODALITIES[config.stage]
        if config.model.streams == "video":
            wanted -= {"depth"}
        if config.model.posed_foreground and config.stage in _POSED:
            wanted |= {POSED, POSED_DEPTH} if config.model.posed_depth else {POSED}
        return wanted | {DEPTH_SCORES} if config.data.depth_scores and weighs(config) else wanted

    @property
    def without_val(self) -> list[str]:
        """Paths of `--shards` without a clip in a val split; a mixture has one if a part has."""
        held_out = [dataset.has_split("val") for dataset in self.mixture.datasets]
        if self.mixture.weights is not None:
            held_out = [any(held_out)]
        return [path for path, has in zip(self.config.shards, held_out, strict=True) if not has]

    def with_latents(self, vae: Path | None) -> Datasets:
        """The same with the cached latents of this VAE opened, if the run takes any.

        Raises:
            DataError: naming each dataset that lacks them or has outdated ones, and how they are
                made.
            ShardsError: the VAE cannot be identified.
        """
        if not self.config.data.latents or vae is None:
            return self
        size = self.config.data.size
        folder = folder_name(identify_vae(vae).sha256, size)
        opened, mistakes = [], []
        for dataset in self.mixture.datasets:
            try:
                latents = open_latents(dataset, folder)
            except LatentsMissing as error:
                mistakes.append(str(error))
                continue
            opened.append(latents)
            for split in (None, "val") if dataset.has_split("val") else (None,):
                try:
                    sidecars_of(latents, dataset.shards_of(split))
                except LatentsMissing as error:
                    mistakes.append(str(error))
        DataError.raise_if_any(mistakes, f"--latents of {vae} at --size {size} are missing")
        return replace(self, mixture=replace(self.mixture, latents=tuple(opened)))

    def training_batches(
        self, *, rank: int, processes: int, consumed: int, pin_memory: bool
    ) -> Iterator[ClipBatch]:
        """This process's batches from `consumed` samples on, for ever. Raises ShardsError."""
        data, run = self.config.data, self.config.run
        stream = ClipStream(
            self.mixture,
            **{**asdict(self.request), "latents": self.mixture.latents is not None},
            seed=run.seed,
            rank=rank,
            world_size=processes,
            window=data.window,
            endless=True,
            cache=data.cache,
            cache_limit=data.cache_limit,
        )
        stream.load_state_dict({"consumed": consumed})
        return iter(
            ClipLoader(
                stream, self.config.clips_in_pass, workers=data.workers, pin_memory=pin_memory
            )
        )

    def first_clips(self, split: str, count: int, *, images: bool = False) -> Iterator[ClipBatch]:
        """The first `count` clips of a split, always the same, as tensors, in small batches.

        Of a mixture those of the datasets that have the split, by their weights; `train` is what a
        run trains on, also where a dataset has but one split, of another name.
        `images`: also where the run takes cached latents.
        """
        data = self.config.data
        as_stored = replace(
            self.request,
            modalities=self.request.modalities - {DEPTH_SCORES},
            crop_area=(1.0, 1.0),
            mirror=0.0,
        )
        size = next(size for size in _BATCHES if count % size == 0)
        stream = ClipStream(
            self.mixture if split == "train" else self.mixture.having(split),
            **{**asdict(as_stored), "latents": self.mixture.latents is not None and not images},
            split=None if split == "train" else split,
            shuffle=False,
            cache=data.cache,
            cache_limit=data.cache_limit,
        )
        return map(to_tensors, islice(stream.batches(size), count // size))


def open_datasets(config: TrainConfig) -> Datasets:
    """Open the datasets of a run, also those of a mixture, and check them from their manifests.

    Raises:
        DataError: naming everything that the stage lacks, where, and how it is made.
        ShardsError: a path is no dataset, or one without clips.
        ValueError: a mixture is not alone.
    """
    data = Datasets(config, open_mixture(config.shards))
    mistakes = _mistakes(data.mixture, data.request)
    if config.report.validate_every != 0 or config.report.sample_every != 0:
        mistakes += _mistakes(data.mixture.having("val"), data.request, "val")
    if config.report.validate_every:
        mistakes += [
            f"{path}: has no val split for --validate-every: `idol-prep build --val-fraction 0.1` "
            "holds some videos out, or set --validate-every 0"
            for path in data.without_val
        ]
    DataError.raise_if_any(mistakes, f"stage {config.stage!r} cannot be trained on these shards")
    return data


def _mistakes(mixture: Mixture, request: Request, split: str | None = None) -> list[str]:
    mistakes = []
    together: list[Shard] = []
    for dataset in mixture.datasets:
        shards = dataset.shards_of(split)
        together += shards
        where = dataset.url + (f", split {split}" if split else "")
        mistakes += [f"{where}: {lack}" for lack in _lacks(shards, request)]
    return mistakes + sizes_of(together, frames=request.frames).mistakes


def _lacks(shards: Sequence[Shard], request: Request) -> list[str]:
    samples = [sample for shard in shards for sample in shard.manifest.samples]
    lacks = []
    long_enough = [sample for sample in samples if sample.frames >= request.frames]
    if not long_enough:
        longest = max(sample.frames for sample in samples)
        otherwise = f"train with --frames {longest}" if longest > 1 else "train stage image on them"
        lacks.append(
            f"no clip has {request.frames} frames, the longest has {longest}: `idol-prep build "
            f"--clip-length {request.frames}` makes longer ones, or {otherwise}"
        )
    counted = long_enough or samples
    absent = Counter(
        name for sample in counted for name in sorted(request.stored) if not sample.sizes.get(name)
    )
    return lacks + [
        f"{count} of {len(counted)} clips have no {name}: make it with {_MADE_BY[name]}"
        for name, count in absent.items()
    ]
