"""Which clips there are to stream, with which cached latents: known before any tar is read."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from shards.errors import BadSample, LatentsMissing, NotADataset
from shards.files.storage import Store
from shards.latents import Latents, sidecars_of
from shards.reader import Shard
from shards.sample.modalities import JSON

__all__ = [
    "Catalogue",
    "ClipEntry",
    "ShardEntry",
    "Sizes",
    "Source",
    "attach_latents",
    "make_catalogue",
    "sizes_of",
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


@dataclass(frozen=True)
class Sizes:
    """The sizes of clips that are streamed together.

    Attributes:
        found: the clips, as "shard: key", of each (height, width).
        unknown: those whose json does not say their size.
    """

    found: Mapping[tuple[int, int], Sequence[str]]
    unknown: Sequence[str]

    @property
    def mistakes(self) -> list[str]:
        """Why the clips do not fit into one batch; none if they do."""
        mistakes = []
        if self.unknown:
            count = len(self.unknown)
            mistakes.append(f"{count} clips do not say their size, such as {self.unknown[0]}")
        if len(self.found) > 1:
            some = [
                f"{len(clips)} of {width}x{height}, such as {clips[0]}"
                for (height, width), clips in self.found.items()
            ]
            mistakes.append(
                f"clips of a batch have one size, but there are {'; '.join(some[:3])}"
                f"{'; …' if len(some) > 3 else ''}: build all with one --size, or use only those "
                "of one"
            )
        return mistakes


def sizes_of(shards: Iterable[Shard], *, frames: int) -> Sizes:
    """The sizes of the clips that have `frames` frames, from the manifests."""
    found: dict[tuple[int, int], list[str]] = {}
    unknown = []
    for shard in shards:
        for sample in shard.manifest.samples:
            if sample.frames < frames:
                continue
            label = f"{shard.url}: {sample.key}"
            if sample.width is None or sample.height is None:
                unknown.append(label)
            else:
                found.setdefault((sample.height, sample.width), []).append(label)
    return Sizes(found, unknown)


def make_catalogue(
    found: Sequence[Sequence[Shard]], *, frames: int, stored: Collection[str]
) -> Catalogue:
    """The clips that have `frames` frames; shorter ones are left out, and logged.

    Raises NotADataset for a source without any; BadSample, naming shard and key, for a clip that
    lacks one of the modalities `stored`, or for clips of several sizes.
    """
    sources = []
    for shards in found:
        source = Source(tuple(_entry(shard, frames, stored) for shard in shards))
        total = sum(len(shard.manifest.samples) for shard in shards)
        short = total - sum(source.counts)
        if short == total:
            raise NotADataset(f"{shards[0].url}, …: none of {total} clips has {frames} frames")
        if short:
            _log.warning("%d of %d clips have fewer than %d frames: left out", short, total, frames)
        sources.append(source)
    sizes = sizes_of((shard for shards in found for shard in shards), frames=frames)
    if sizes.mistakes:
        raise BadSample("; ".join(sizes.mistakes))
    return Catalogue(tuple(sources), next(iter(sizes.found)))


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


def _entry(shard: Shard, frames: int, stored: Collection[str]) -> ShardEntry:
    long_enough = [s for s in shard.manifest.samples if s.frames >= frames]
    for sample in long_enough:
        if lacking := sorted(name for name in {JSON, *stored} if not sample.sizes.get(name)):
            raise BadSample(
                f"{shard.url}: sample {sample.key}: has no {', '.join(lacking)}; build with it, "
                "or do not ask for it"
            )
    clips = (ClipEntry(s.key, s.offset, s.length, s.frames) for s in long_enough)
    manifest = shard.manifest
    return ShardEntry(shard.store, shard.name, manifest.bytes, manifest.sha256, tuple(clips))


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
