"""Which clips there are to stream, with which cached latents: known before any tar is read."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from shards.errors import BadSample, LatentsMissing, NotADataset
from shards.files.storage import Store
from shards.latents import Latents, sidecars_of
from shards.manifest import Sample
from shards.reader import Shard
from shards.sample.modalities import JSON

__all__ = [
    "Catalogue",
    "ClipEntry",
    "ShardEntry",
    "Source",
    "attach_latents",
    "make_catalogue",
]

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


def attach_latents(
    catalogue: Catalogue,
    latents: Sequence[tuple[Latents, Sequence[Shard]]],
    members: Collection[str],
) -> Catalogue:
    """The catalogue with the tar of latents beside each shard that has clips.

    `latents` are those of each dataset, with its shards; `members` what is taken from them.
    Raises LatentsMissing for absent or outdated ones, or ones without a clip or a member.
    """
    needed = {entry.url for source in catalogue.sources for entry in source.shards if entry.clips}
    sidecars: dict[str, Shard] = {}
    for opened, shards in latents:
        own = [shard for shard in shards if shard.url in needed]
        beside = sidecars_of(opened, own)
        sidecars |= {shard.url: sidecar for shard, sidecar in zip(own, beside, strict=True)}
    sources = []
    for source in catalogue.sources:
        entries = [
            replace(entry, latents=_latents_of(entry, sidecars[entry.url], members))
            if entry.clips
            else entry
            for entry in source.shards
        ]
        sources.append(Source(tuple(entries)))
    return replace(catalogue, sources=tuple(sources))


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


def _latents_of(entry: ShardEntry, sidecar: Shard, members: Collection[str]) -> ShardEntry:
    samples = {sample.key: sample for sample in sidecar.manifest.samples}
    clips = []
    for clip in entry.clips:
        sample = samples.get(clip.key)
        sizes = sample.sizes if sample else {}
        lacking = [name for name in members if not sizes.get(f"{name}.npy")]
        if sample is None or lacking:
            raise LatentsMissing(
                f"{sidecar.url}: sample {clip.key}: has no {', '.join(lacking)}; delete this "
                "folder of latents and encode again, or do not ask for it"
            )
        clips.append(ClipEntry(clip.key, sample.offset, sample.length, sample.frames))
    manifest = sidecar.manifest
    return ShardEntry(sidecar.store, sidecar.name, manifest.bytes, manifest.sha256, tuple(clips))
