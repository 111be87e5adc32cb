"""Committing a shard: tar first, manifest last, so that a shard is there whole or not at all."""

import os
from collections.abc import Iterable

from shards.files.storage import Store
from shards.files.tars import TarWriter
from shards.manifest import Manifest, Quarantined, describe_sample, manifest_bytes, shard_name
from shards.sample.codec import Members, decode_info
from shards.sample.keys import check_key
from shards.sample.modalities import split_name

__all__ = ["commit_shard"]


def commit_shard(
    root: str | os.PathLike[str] | Store,
    split: str,
    index: int,
    samples: Iterable[tuple[str, Members]],
    quarantined: Iterable[Quarantined] = (),
    *,
    fingerprint: str | None = None,
) -> Manifest:
    """Write `{root}/{split}/shard-{index:05d}` and return its manifest; the order is kept.

    `samples` are `(key, members)` as `encode_clip` gives them; they are consumed one by one, so a
    generator keeps a single clip in memory. An existing shard is replaced: its manifest goes
    first. Without samples the tar is empty, and the shard exists all the same.
    `fingerprint`: that of the recipe (`Build.info.fingerprint`), by which `open_for_build` knows
    its shards again should `dataset.json` be lost.
    Raises ValueError for bad keys or names, BadSample for a sample without a json, StorageError.
    """
    store = Store.at(root)
    name = f"{check_key(split)}/{shard_name(index)}"
    store.remove(f"{name}.json")
    entries = []
    with store.write(f"{name}.tar") as output:
        tar = TarWriter(output)
        for key, members in samples:
            start = tar.offset
            for member, data in sorted(_checked(key, members)):
                tar.add(member, data)
            info = decode_info(members)
            sizes = {member: len(data) for member, data in members}
            entries.append(describe_sample(key, info, sizes, start, tar.offset - start))
        tar.close()
    manifest = Manifest(
        split=split,
        index=index,
        bytes=output.bytes,
        sha256=output.sha256,
        samples=tuple(entries),
        quarantined=tuple(quarantined),
        fingerprint=fingerprint,
    )
    if len(set(manifest.keys)) != len(manifest.keys):
        raise ValueError(f"{store.url(name)}.tar: duplicate key; shard not committed")
    store.write_bytes(f"{name}.json", manifest_bytes(manifest))
    return manifest


def _checked(key: str, members: Members) -> Members:
    names = [name for name, _ in members]
    if len(set(names)) != len(names):
        raise ValueError(f"sample {key}: duplicate member name")
    for name in names:
        if split_name(name)[0] != check_key(key) or "/" in name:
            raise ValueError(f"sample {key}: member {name!r} is not named {key}.…")
    return members
