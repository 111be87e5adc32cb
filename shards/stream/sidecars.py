"""The latents of a stream's clips, found to be theirs before any tar is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shards.errors import LatentsMissing
from shards.latents.find import sidecars_of
from shards.latents.info import Latents
from shards.reader import Shard
from shards.stream.catalogue import Catalogue, ClipEntry, ShardEntry, Source
from shards.stream.request import Request

__all__ = ["attach_latents"]


def attach_latents(
    catalogue: Catalogue,
    latents: Sequence[tuple[Latents, Sequence[Shard]]],
    request: Request,
) -> Catalogue:
    """The catalogue with the tar of latents beside each shard that has clips.

    `latents` are those of each dataset, with its shards.
    Raises LatentsMissing for absent or outdated ones, or ones without a clip or a modality.
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
            replace(entry, latents=_entry(entry, sidecars[entry.url], request))
            if entry.clips
            else entry
            for entry in source.shards
        ]
        sources.append(Source(tuple(entries)))
    return replace(catalogue, sources=tuple(sources))


def _entry(entry: ShardEntry, sidecar: Shard, request: Request) -> ShardEntry:
    samples = {sample.key: sample for sample in sidecar.manifest.samples}
    clips = []
    for clip in entry.clips:
        sample = samples.get(clip.key)
        sizes = sample.sizes if sample else {}
        lacking = [name for name in request.cached.values() if not sizes.get(f"{name}.npy")]
        if sample is None or lacking:
            raise LatentsMissing(
                f"{sidecar.url}: sample {clip.key}: has no {', '.join(lacking)}; delete this "
                "folder of latents and encode again, or do not ask for it"
            )
        clips.append(ClipEntry(clip.key, sample.offset, sample.length, sample.frames))
    manifest = sidecar.manifest
    return ShardEntry(sidecar.store, sidecar.name, manifest.bytes, manifest.sha256, tuple(clips))
