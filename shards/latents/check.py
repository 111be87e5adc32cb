"""What can be wrong with a dataset's cached latents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from shards.dataset import is_latents_folder
from shards.errors import BadManifest, BadSample, ShardsError
from shards.files.storage import Store
from shards.files.tars import read_members
from shards.inspect.check_shard import Fault, checksum
from shards.latents.info import LatentsInfo, read_latents_info
from shards.latents.members import BACKGROUND, decode_moments, latents_member, latents_names
from shards.manifest import Manifest, Sample, list_shards, load_manifest, shard_name
from shards.sample.codec import decode_info

__all__ = ["latents_faults"]

_AGAIN = ": run the same `idol-prep encode` again"


def latents_faults(root: Store, sources: Mapping[tuple[str, int], Manifest]) -> Iterator[Fault]:
    """Faults of all latents of a dataset whose shards are `sources`, by split and index.

    Every shard has its latents, made from what it is now; checksums; every sample has its clip's
    key and frames; every member decodes to finite numbers of the right shape.
    """
    for name, is_folder in root.list().items():
        if not is_folder or not is_latents_folder(name):
            continue
        store = root.folder(name)
        try:
            info = read_latents_info(store)
        except ShardsError as error:
            yield Fault(f"{name}/latents.json", "", str(error).partition(": ")[2])
            continue
        if info is None:
            yield Fault(f"{name}/latents.json", "", f"is missing{_AGAIN}")
            continue
        for (split, index), source in sources.items():
            for fault in _shard_faults(store, info, split, index, source):
                yield Fault(f"{name}/{fault.file}", fault.key, fault.what)
        yield from _strangers(store, name, set(sources))


def _shard_faults(
    store: Store, info: LatentsInfo, split: str, index: int, source: Manifest
) -> Iterator[Fault]:
    file = f"{split}/{shard_name(index)}.tar"
    try:
        manifest = load_manifest(store, split, index)
    except BadManifest as error:
        yield Fault(file, "", f"{str(error).rpartition(': ')[2]}{_AGAIN}")
        return
    if manifest.fingerprint != info.fingerprint(source):
        yield Fault(file, "", f"was made from another version of {file}{_AGAIN}")
        return
    if checksum(store, file) != manifest.sha256:
        what = f"checksum differs from its manifest's: delete {shard_name(index)}.json there"
        yield Fault(file, "", f"{what} and encode again")
    wanted = {sample.key: sample for sample in source.samples}
    if list(wanted) != [sample.key for sample in manifest.samples]:
        yield Fault(file, "", f"its keys are not those of {file}{_AGAIN}")
    for sample in manifest.samples:
        for what in _sample_faults(store, file, sample, wanted.get(sample.key), info):
            yield Fault(file, sample.key, what)


def _sample_faults(
    store: Store, file: str, sample: Sample, clip: Sample | None, info: LatentsInfo
) -> Iterator[str]:
    try:
        data = store.read(file, sample.offset, sample.offset + sample.length)
        members = dict(read_members(data, label="tar"))
        frames = len(decode_info(list(members.items()))["frame_indices"])
    except ShardsError as error:
        yield str(error)
        return
    if clip is not None and frames != clip.frames:
        yield f"has {frames} frames, its clip has {clip.frames}"
    for name in latents_names():
        member = latents_member(sample.key, name)
        if member not in members:
            if name == "rgb_latents":
                yield f"{member}: missing"
            continue
        shape = info.shape if name == BACKGROUND else (frames, *info.shape)
        try:
            if not np.isfinite(decode_moments(member, members[member], shape)).all():
                yield f"{member}: not all values are finite"
        except BadSample as error:
            yield str(error)


def _strangers(store: Store, name: str, sources: set[tuple[str, int]]) -> Iterator[Fault]:
    for split, is_folder in store.list().items():
        for index in list_shards(store, split) if is_folder else ():
            if (split, index) not in sources:
                file = f"{name}/{split}/{shard_name(index)}.tar"
                yield Fault(file, "", f"belongs to no shard of the dataset{_AGAIN}")
