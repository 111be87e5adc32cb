"""The latents of a stream's clips: found, and found to be theirs, before any tar is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shards.errors import LatentsMissing
from shards.latents.find import choose_latents, place_of, sidecars_of
from shards.latents.info import LatentsInfo
from shards.reader import Shard
from shards.stream.catalogue import Catalogue, ClipEntry, ShardEntry, Source
from shards.stream.request import Request

__all__ = ["attach_latents", "latents_of"]


def latents_of(found: Sequence[Sequence[Shard]], wanted: str | bool) -> LatentsInfo:
    """The latents to take of all datasets: of one VAE, and one size.

    Raises LatentsMissing.
    """
    roots = {place_of(shard)[0].url(): place_of(shard)[0] for shards in found for shard in shards}
    infos = {url: choose_latents(root, wanted) for url, root in roots.items()}
    first, *others = infos.items()
    for url, info in others:
        if info.folder != first[1].folder:
            raise LatentsMissing(
                f"{url} has {info.folder}, but {first[0]} has {first[1].folder}: encode all "
                "datasets of a stream with one VAE and size"
            )
    return first[1]


def attach_latents(
    catalogue: Catalogue, found: Sequence[Sequence[Shard]], request: Request
) -> Catalogue:
    """The catalogue with the tar of latents beside each shard that has clips.

    Raises LatentsMissing for absent or outdated ones, or ones without a modality.
    """
    assert request.latents is not None
    sources = []
    for source, shards in zip(catalogue.sources, found, strict=True):
        filled = [i for i, entry in enumerate(source.shards) if entry.clips]
        own = sidecars_of([shards[i] for i in filled], request.latents.folder)
        sidecars = dict(zip(filled, own, strict=True))
        entries = [
            replace(entry, latents=_entry(entry, sidecars[i], request)) if i in sidecars else entry
            for i, entry in enumerate(source.shards)
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
