"""Where a dataset's latents lie, and whether they are those of its shards as they are now."""

from __future__ import annotations

from collections.abc import Sequence

from shards.errors import BadManifest, LatentsMissing
from shards.files.storage import Store
from shards.latents.info import Latents, LatentsInfo, list_latents
from shards.manifest import load_manifests
from shards.reader import Dataset, Shard

__all__ = ["open_latents", "sidecars_of"]


def open_latents(dataset: Dataset, wanted: str | bool) -> Latents:
    """The latents of a dataset, by their folder's name, or with True the only ones.

    Raises LatentsMissing, saying how they are made.
    """
    places = {_place(shard): None for shard in dataset.shards}
    root = _root(dataset.shards[0])
    info = _choose(root, wanted)
    manifests = load_manifests(root.folder(info.folder), places)
    return Latents(root, info, dict(zip(places, manifests, strict=True)))


def sidecars_of(latents: Latents, shards: Sequence[Shard]) -> list[Shard]:
    """The shard of latents of each of a dataset's shards.

    Raises LatentsMissing when some are absent or outdated.
    """
    store = latents.root.folder(latents.info.folder)
    found, absent, outdated = [], [], []
    for shard in shards:
        split, _ = place = _place(shard)
        manifest = latents.manifests[place]
        if isinstance(manifest, BadManifest):
            absent.append(shard.url)
        elif manifest.fingerprint != latents.info.fingerprint(shard.manifest):
            outdated.append(shard.url)
        else:
            found.append(Shard(store, f"{split}/{manifest.tar}", manifest))
    for urls, what in ((absent, "have no latents"), (outdated, "changed since")):
        if urls:
            raise LatentsMissing(
                f"{store.url()}: {len(urls)} of {len(shards)} shards {what}, such as {urls[0]}: "
                f"{_make(latents.root, latents.info.folder)}"
            )
    return found


def _root(shard: Shard) -> Store:
    """The root of the dataset that a shard is in, be it opened there or in its split's folder."""
    if "/" in shard.name:
        return shard.store
    return Store(shard.store.fs, shard.store.root.rpartition("/")[0])


def _place(shard: Shard) -> tuple[str, int]:
    """Its split's folder, and its index."""
    folder = shard.name.rpartition("/")[0] or shard.store.root.rpartition("/")[2]
    return folder, shard.manifest.index


def _choose(root: Store, wanted: str | bool) -> LatentsInfo:
    """The latents of a dataset by their folder's name, or with True the only ones.

    Raises LatentsMissing, saying how they are made.
    """
    found = list_latents(root)
    if isinstance(wanted, str):
        if wanted in found:
            return found[wanted]
        others = f"; there are {', '.join(found)}, of another VAE or size" if found else ""
        raise LatentsMissing(f"{root.url()}: has no {wanted}{others}: {_make(root, wanted)}")
    if not found:
        raise LatentsMissing(f"{root.url()}: has no cached latents: {_make(root)}")
    if len(found) > 1:
        raise LatentsMissing(f"{root.url()}: has several latents: name one of {', '.join(found)}")
    return next(iter(found.values()))


def _make(root: Store, folder: str | None = None) -> str:
    size = f" --size {folder.rpartition('-')[2]}" if folder else ""
    return f"make them by `idol-prep encode {root.url()} --base FOLDER{size}`"
