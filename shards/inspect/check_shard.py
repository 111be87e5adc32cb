"""What can be wrong with one shard: its manifest, its tar's bytes, and each sample in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shards.errors import BadTar, OldSchema, ShardsError
from shards.files.digest import digests
from shards.files.storage import Store
from shards.files.tars import read_members
from shards.inspect.check_sample import sample_faults
from shards.manifest import Manifest, parse_manifest, shard_name
from shards.scan import scan_tar

__all__ = ["Fault", "check_shard", "check_tar", "checksum"]

_CHUNK = 1 << 20
_AGAIN = ": run the same build command again to make it anew"


@dataclass(frozen=True)
class Fault:
    """Something wrong: in which file, at which sample ("" when it is not one's), and what."""

    file: str
    key: str
    what: str


def check_shard(store: Store, split: str, index: int) -> tuple[Manifest | None, list[Fault]]:
    """The manifest of a shard, if it can be read at all, and every fault of the shard."""
    name = f"{split}/{shard_name(index)}" if split else shard_name(index)
    size = store.size(f"{name}.tar")
    if store.size(f"{name}.json") is None:
        what = "has no manifest, so the shard was never committed: build again to make it"
        return None, [Fault(f"{name}.tar", "", what)]
    try:
        manifest = parse_manifest(store.read(f"{name}.json"))
    except OldSchema as error:
        raise OldSchema(f"{store.url(name)}.json: {error}") from error
    except ShardsError as error:
        return None, [Fault(f"{name}.json", "", str(error))]
    faults = []
    if manifest.index != index or (split and manifest.split != split):
        other = f"{manifest.split}/{shard_name(manifest.index)}"
        faults.append(Fault(f"{name}.json", "", f"is the manifest of {other}"))
    if size is None:
        return manifest, [*faults, Fault(f"{name}.tar", "", f"is missing{_AGAIN}")]
    try:
        faults += _tar_faults(store, f"{name}.tar", manifest, size)
    except ShardsError as error:  # the file vanished, or the disk fails
        faults.append(Fault(f"{name}.tar", "", str(error)))
    return manifest, faults


def check_tar(store: Store, name: str) -> list[Fault]:
    """Every fault of a tar without a manifest, such as another's WebDataset."""
    try:
        manifest = scan_tar(store, name)
    except ShardsError as error:
        return [Fault(name, "", str(error).removeprefix(f"{store.url(name)}: "))]
    return list(_sample_faults(store, name, manifest))


def _tar_faults(store: Store, name: str, manifest: Manifest, size: int) -> Iterator[Fault]:
    if size != manifest.bytes:
        yield Fault(name, "", f"has {size} bytes, its manifest says {manifest.bytes}{_AGAIN}")
    elif checksum(store, name) != manifest.sha256:
        # The build looks at sizes alone, and would keep this shard.
        advice = f"delete {shard_name(manifest.index)}.json and run the same build command again"
        yield Fault(name, "", f"checksum differs from its manifest's: {advice}")
    end = 0
    for sample in manifest.samples:
        if sample.offset != end:
            yield Fault(name, sample.key, f"bytes {end} to {sample.offset} belong to no sample")
        end = sample.offset + sample.length
    if any(chunk.strip(b"\0") for chunk in _chunks(store, name, end)):
        yield Fault(name, "", f"data from byte {end} on belongs to no sample")
    yield from _sample_faults(store, name, manifest)


def _sample_faults(store: Store, name: str, manifest: Manifest) -> Iterator[Fault]:
    for sample in manifest.samples:
        try:
            data = store.read(name, sample.offset, sample.offset + sample.length)
            members = read_members(data, label="tar")
        except BadTar as error:
            yield Fault(name, sample.key, str(error))
            continue
        for what in sample_faults(sample, members, manifest.split):
            yield Fault(name, sample.key, what.removeprefix(f"{sample.key}: "))


def checksum(store: Store, name: str) -> str:
    """SHA-256 of a file, read in pieces."""
    with store.open(name) as file:
        return digests(file)["sha256"]


def _chunks(store: Store, name: str, start: int = 0) -> Iterator[bytes]:
    with store.open(name) as file:
        file.seek(start)
        while chunk := file.read(_CHUNK):
            yield chunk
