"""Which clips there are to stream, known from manifests before any tar is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from shards.errors import BadSample, NotADataset
from shards.files.storage import Store
from shards.manifest import Sample
from shards.reader import Shard, open_dataset
from shards.sample.members import JSON

__all__ = [
    "Catalogue",
    "ClipEntry",
    "DataPath",
    "ShardEntry",
    "Source",
    "find_shards",
    "make_catalogue",
]

DataPath = str | os.PathLike[str] | Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardEntry:
    """A tar, what its manifest says of the whole, and its clips that are long enough.

    `latents`: the tar with their latents, if they are asked for; its clips are in the same order.
    """

    store: Store
    name: str
    bytes: int
    sha256: str
    clips: tuple[ClipEntry, ...]
    latents: ShardEntry | None = None

    @cached_property
    def url(self) -> str:
        return self.store.url(self.name)


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A clip's range in its tar, and its frames."""

    key: str
    offset: int
    length: int
    frames: int


@dataclass(frozen=True)
class Source:
    """Shards that are shuffled together."""

    shards: tuple[ShardEntry, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Clips of each shard."""
        return tuple(len(shard.clips) for shard in self.shards)


@dataclass(frozen=True)
class Catalogue:
    """All sources, their clips of one `size` (height, width)."""

    sources: tuple[Source, ...]
    size: tuple[int, int]


def find_shards(
    paths: DataPath | Sequence[DataPath], *, split: str | None = None, separate: bool = False
) -> list[list[Shard]]:
    """Shards at one or several paths, as one source, or with `separate` as a source each.

    A path is a dataset, of which `split` is taken (`train` unless given, or the only one), a
    split's folder, or a tar. Raises NotADataset for a path without clips or without that split.
    """
    listed: list[DataPath] = [paths] if isinstance(paths, (str, os.PathLike, Store)) else [*paths]
    if not listed:
        raise NotADataset("no path of a dataset was given")
    found = [_shards_at(path, split) for path in listed]
    return found if separate else [[shard for shards in found for shard in shards]]


def make_catalogue(
    found: Sequence[Sequence[Shard]], *, frames: int, stored: Collection[str]
) -> Catalogue:
    """The clips that have `frames` frames; shorter ones are left out, and logged.

    Raises NotADataset for a source without any; BadSample, naming shard and key, for a clip that
    lacks one of the modalities `stored` or has another size than the others.
    """
    sizes: dict[tuple[int, int], str] = {}
    sources = []
    for shards in found:
        source = Source(tuple(_entry(shard, frames, stored, sizes) for shard in shards))
        total = sum(len(shard.manifest.samples) for shard in shards)
        short = total - sum(source.counts)
        if short == total:
            raise NotADataset(f"{shards[0].url}, …: none of {total} clips has {frames} frames")
        if short:
            _log.warning("%d of %d clips have fewer than %d frames: left out", short, total, frames)
        sources.append(source)
    return Catalogue(tuple(sources), next(iter(sizes)))


def _shards_at(path: DataPath, split: str | None) -> list[Shard]:
    dataset = open_dataset(path)
    for error in dataset.ignored:
        _log.warning("left out: %s", error)
    if not any(shard.manifest.samples for shard in dataset.shards):
        raise NotADataset(f"{dataset.url}: holds no clips")
    if all("/" not in shard.name for shard in dataset.shards):  # a split's folder, or a tar
        return list(dataset.shards)
    splits = dataset.splits
    if split is None:
        split = splits[0] if len(splits) == 1 else "train"
    if split not in splits:
        there = ", ".join(splits) or "none"
        raise NotADataset(f"{dataset.url}: has no split {split!r}; there are: {there}")
    chosen = [shard for shard in dataset.shards if shard.manifest.split == split]
    if not any(shard.manifest.samples for shard in chosen):
        raise NotADataset(
            f"{dataset.url}: its split {split!r} holds no clips: `idol-shards stats` says what "
            "failed; if too many videos were held out, build with a smaller --val-fraction"
        )
    return chosen


def _entry(
    shard: Shard, frames: int, stored: Collection[str], sizes: dict[tuple[int, int], str]
) -> ShardEntry:
    long_enough = [s for s in shard.manifest.samples if s.frames >= frames]
    for sample in long_enough:
        _check(shard, sample, stored, sizes)
    clips = (ClipEntry(s.key, s.offset, s.length, s.frames) for s in long_enough)
    manifest = shard.manifest
    return ShardEntry(shard.store, shard.name, manifest.bytes, manifest.sha256, tuple(clips))


def _check(
    shard: Shard, sample: Sample, stored: Collection[str], sizes: dict[tuple[int, int], str]
) -> None:
    label = f"{shard.url}: sample {sample.key}"
    if lacking := sorted(name for name in {JSON, *stored} if not sample.sizes.get(name)):
        raise BadSample(
            f"{label}: has no {', '.join(lacking)}; build with it, or do not ask for it"
        )
    if sample.width is None or sample.height is None:
        raise BadSample(f"{label}: its json does not say its size")
    size = (sample.height, sample.width)
    if sizes.setdefault(size, label) is label and len(sizes) > 1:
        (one, first), (other, _) = sizes.items()
        raise BadSample(
            f"{label}: is {other[1]}x{other[0]}, but {first} is {one[1]}x{one[0]}; "
            "clips of a batch have one size: build them with one, or stream them apart"
        )
