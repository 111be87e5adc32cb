"""Where a dataset's latents lie, and whether they are those of its shards as they are now."""

from __future__ import annotations

from collections.abc import Sequence

from shards.errors import BadManifest, LatentsMissing
from shards.files.storage import Store
from shards.latents.info import LatentsInfo, list_latents
from shards.manifest import load_manifests
from shards.reader import Shard

__all__ = ["choose_latents", "place_of", "sidecars_of"]


def place_of(shard: Shard) -> tuple[Store, str]:
    """The root of the dataset that a shard is in, and its split's folder."""
    folder = shard.name.rpartition("/")[0]
    if folder:
        return shard.store, folder
    root, _, split = shard.store.root.rpartition("/")
    return Store(shard.store.fs, root), split


def choose_latents(root: Store, wanted: str | bool) -> LatentsInfo:
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


def sidecars_of(shards: Sequence[Shard], folder: str) -> list[Shard]:
    """The shard of latents of each shard, from the folder of this name in each one's dataset.

    Raises LatentsMissing when there is no such folder, or some are absent or outdated.
    """
    by_root: dict[str, list[int]] = {}
    places = [place_of(shard) for shard in shards]
    for i, (root, _) in enumerate(places):
        by_root.setdefault(root.url(), []).append(i)
    found: dict[int, Shard] = {}
    for own in by_root.values():
        root = places[own[0]][0]
        info = choose_latents(root, folder)
        store = root.folder(folder)
        manifests = load_manifests(store, [(places[i][1], shards[i].manifest.index) for i in own])
        absent, outdated = [], []
        for i, manifest in zip(own, manifests, strict=True):
            if isinstance(manifest, BadManifest):
                absent.append(shards[i].url)
            elif manifest.fingerprint != info.fingerprint(shards[i].manifest):
                outdated.append(shards[i].url)
            else:
                found[i] = Shard(store, f"{places[i][1]}/{manifest.tar}", manifest)
        for urls, what in ((absent, "have no latents"), (outdated, "changed since")):
            if urls:
                raise LatentsMissing(
                    f"{store.url()}: {len(urls)} of {len(own)} shards {what}, such as {urls[0]}: "
                    f"{_make(root, folder)}"
                )
    return [found[i] for i in range(len(shards))]


def _make(root: Store, folder: str | None = None) -> str:
    size = f" --size {folder.rpartition('-')[2]}" if folder else ""
    return f"make them by `idol-prep encode {root.url()} --base FOLDER{size}`"
