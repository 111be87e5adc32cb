"""`idol-shards verify`: every fault of a dataset, each with its file and key."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np

from shards.collected import COLLECTED, read_collected
from shards.dataset import FILE, DatasetInfo, is_latents_folder, read_info
from shards.errors import BadManifest, BadSample, BadTar, NotADataset, OldSchema, ShardsError
from shards.files.digest import digests
from shards.files.storage import Store
from shards.files.tars import read_members
from shards.index import INDEX, index_rows, read_index
from shards.latents import (
    LATENTS_FILE,
    LatentsInfo,
    decode_moments,
    latents_member,
    latents_rows,
    read_latents_info,
)
from shards.manifest import (
    Manifest,
    Sample,
    count_totals,
    describe_sample,
    list_shards,
    load_manifest,
    parse_manifest,
    shard_name,
)
from shards.reader import check_tar, scan_tar
from shards.sample.codec import Members, decode_info
from shards.sample.keys import parse_key
from shards.sample.modalities import JSON, MODALITIES, member_name, parse_suffix, split_name

__all__ = ["Fault", "verify"]

_Shard = tuple[str, int]

_CHUNK = 1 << 20
_MISSING = 1000  # shards of a split that are named one by one
# A clip of uneven times has steps of up to this multiple of what its rate says.
_RATE_SLACK = 2
_AGAIN = ": run the same build command again to make it again"
_INDEX_AGAIN = ": run the same build command again, which writes it anew and keeps the shards"
_ENCODE_AGAIN = ": run the same `idol-prep encode` again"


@dataclass(frozen=True)
class Fault:
    """Something wrong: in which file, at which sample ("" when it is not one's), and what."""

    file: str
    key: str
    what: str


def verify(
    path: str | Store, *, track: Callable[[list[_Shard]], Iterable[_Shard]] = iter
) -> Iterator[Fault]:
    """Faults of a dataset, a split's folder or a single tar; none when all is well.

    Checks dataset.json, every manifest, every tar's checksum and layout, every sample (see
    `sample_faults`), that index, totals and `manifests.gz` agree with the manifests, and cached
    latents. Goes on after each fault. `track` wraps the iteration over shards, to show progress.
    Raises NotADataset when there is nothing to verify, OldSchema for a dataset of an older version.
    """
    store = Store.at(path)
    if store.size() is not None:
        yield from _lone_tar(store)
        return
    folders = ["", *(name for name, is_folder in store.list().items() if is_folder)]
    shards = [(split, index) for split in folders for index in list_shards(store, split)]
    if store.size(LATENTS_FILE) is not None:
        raise NotADataset(f"{store.url()}: holds latents, which are verified with their dataset")
    info, damaged = None, False
    try:
        info = read_info(store)
    except OldSchema:
        raise
    except NotADataset as error:
        damaged = True
        yield Fault(FILE, "", str(error).removeprefix(f"{store.url(FILE)}: "))
    if info is None and not damaged:
        if not shards:
            raise NotADataset(f"{store.url()}: holds no {FILE} and no shards")
        if any(split for split, _ in shards):  # else the folder of a split was given
            yield Fault(FILE, "", "is missing: run the same build command again")
    manifests: dict[_Shard, Manifest] = {}
    sound = True
    for shard in track(shards):
        manifest, faults = _check_shard(store, *shard)
        yield from faults
        if manifest is not None:
            manifests[shard] = manifest
        sound = sound and not faults
    homes: dict[str, str] = {}
    for (split, index), manifest in manifests.items():
        name = f"{split}/{shard_name(index)}.tar".removeprefix("/")
        for key in (sample.key for sample in manifest.samples):
            if homes.setdefault(key, name) != name:
                yield Fault(name, key, f"is in {homes[key]} too")
    if info is not None:
        ours = {None, *info.fingerprints}
        for (split, index), manifest in manifests.items():
            if manifest.fingerprint not in ours:
                what = f"was made with another recipe than {FILE} says: delete it and build again"
                yield Fault(f"{split}/{shard_name(index)}.json", "", what)
        yield from _overlap_faults(info, manifests)
        yield from _missing_shards(info, shards)
        yield from _summary_faults(store, info, list(manifests.values()), sound=sound)
        if info.status == "complete":
            yield from _collected_faults(store, manifests, len(shards))
    yield from _latents_faults(store, manifests)


def _lone_tar(file: Store) -> Iterator[Fault]:
    check_tar(file)
    folder, _, name = file.root.rpartition("/")
    store = Store(file.fs, folder)
    for index, have in list_shards(store, "").items():
        if name == f"{shard_name(index)}.tar" and "json" in have:
            yield from _check_shard(store, "", index)[1]
            return
    yield from _check_tar(store, name)


def _missing_shards(info: DatasetInfo, shards: list[_Shard]) -> Iterator[Fault]:
    if info.status != "complete":
        yield Fault(FILE, "", f"status is {info.status}: run the build again to finish it")
    planned = info.shards_by_split
    for split in sorted({*planned, *(split for split, _ in shards)}):
        have = {index for other, index in shards if other == split}
        end = planned.get(split, max(have, default=-1) + 1)
        missing = (index for index in range(end) if index not in have)
        for index in islice(missing, _MISSING):
            yield Fault(
                f"{split}/{shard_name(index)}.tar", "", "is missing, and so is its manifest"
            )
        more = end - sum(index < end for index in have) - _MISSING
        if more > 0:  # as many as a name, or a number in a file, may claim
            yield Fault(split, "", f"{more} shards more are missing")


def _summary_faults(
    store: Store, info: DatasetInfo, manifests: list[Manifest], *, sound: bool
) -> Iterator[Fault]:
    if info.status == "complete" and sound and info.totals != count_totals(manifests):
        yield Fault(FILE, "", f"totals are not those of the manifests{_INDEX_AGAIN}")
    try:
        rows = read_index(store)
    except ShardsError as error:
        what = str(error).removeprefix(f"{store.url(INDEX)}: ")
        yield Fault(INDEX, "", f"{what}{_INDEX_AGAIN}")
        return
    if rows is None:
        if info.status == "complete":
            yield Fault(INDEX, "", f"is missing{_INDEX_AGAIN}")
        return
    readable = {(manifest.split, manifest.index) for manifest in manifests}
    expected = {row["key"]: row for one in manifests for row in index_rows(one)}
    # Rows of a shard that cannot be read say nothing new: the shard itself was reported.
    found = {r["key"]: r for r in rows if (r["split"], r["shard"]) in readable}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            yield Fault(INDEX, key, f"has no row for this sample{_INDEX_AGAIN}")
        elif key not in expected:
            yield Fault(INDEX, key, f"has a row for it, but no manifest does{_INDEX_AGAIN}")
        else:
            # A column that the index lacks is of a modality that came to the table after it.
            empty = {n: 0 for n in expected[key] if n.startswith("bytes_")}
            there = {**empty, **found[key]}
            names = [n for n, value in expected[key].items() if there.get(n) != value]
            if names:
                differing = f"differs from the manifest in {', '.join(names)}"
                yield Fault(INDEX, key, f"{differing}{_INDEX_AGAIN}")


def _collected_faults(
    store: Store, manifests: Mapping[_Shard, Manifest], shards: int
) -> Iterator[Fault]:
    """What readers that are far away would believe, and is not so."""
    if not manifests or store.size(COLLECTED) is None:
        return
    names = {(split, index): f"{split}/{shard_name(index)}.json" for split, index in manifests}
    sizes = {shard: store.size(name) or 0 for shard, name in names.items()}
    found = read_collected(store, sum(sizes.values()))
    if not found and len(manifests) == shards:  # else too little of it may have been unpacked
        yield Fault(COLLECTED, "", f"is damaged{_INDEX_AGAIN}")
    for shard, (size, data) in found.items():
        if sizes.get(shard) != size:
            continue  # which sends readers to the manifest itself
        try:
            same = parse_manifest(data) == manifests[shard]
        except ShardsError:
            same = False
        if not same:
            yield Fault(COLLECTED, "", f"differs from {names[shard]}{_INDEX_AGAIN}")


def _check_shard(store: Store, split: str, index: int) -> tuple[Manifest | None, list[Fault]]:
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


def _check_tar(store: Store, name: str) -> list[Fault]:
    """Every fault of a tar without a manifest, such as another's WebDataset."""
    try:
        manifest = scan_tar(store, name)
    except ShardsError as error:
        return [Fault(name, "", str(error).removeprefix(f"{store.url(name)}: "))]
    return list(_sample_faults(store, name, manifest))


def _tar_faults(store: Store, name: str, manifest: Manifest, size: int) -> Iterator[Fault]:
    if size != manifest.bytes:
        yield Fault(name, "", f"has {size} bytes, its manifest says {manifest.bytes}{_AGAIN}")
    elif _checksum(store, name) != manifest.sha256:
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


def _checksum(store: Store, name: str) -> str:
    """SHA-256 of a file, read in pieces."""
    with store.open(name) as file:
        return digests(file)["sha256"]


def _chunks(store: Store, name: str, start: int = 0) -> Iterator[bytes]:
    with store.open(name) as file:
        file.seek(start)
        while chunk := file.read(_CHUNK):
            yield chunk


def sample_faults(sample: Sample, members: Members, split: str = "") -> Iterator[str]:
    """Everything wrong with a sample, one line each; `sample` is what its manifest says of it.

    Every member decodes; each modality has every frame; shapes agree with each other and with the
    json; key, frame numbers, times and rate agree; values are those that the modality's encoding
    can have; the manifest's entry is what the sample gives.
    """
    info: dict[str, Any] = {}
    try:
        info = decode_info(members)
    except BadSample as error:
        yield str(error)
    else:
        yield from _json_faults(info, split)
        yield from _time_faults(sample.key, info)
    yield from _entry_faults(sample, info, members)

    count = len(info["frame_indices"]) if info else sample.frames
    shape = _shape(info)
    found: dict[str, set[int | None]] = {}
    stills: dict[str, np.ndarray] = {}
    for name, data in members:
        key, suffix = split_name(name)
        parsed = parse_suffix(suffix)
        if key != sample.key:
            yield f"{name}: belongs to another sample"
        elif parsed is None:
            yield f"{name}: no such modality"
        elif parsed[0] != JSON:
            modality, frame = parsed
            if frame in found.setdefault(modality, set()):
                yield f"{name}: duplicate member"
            found[modality].add(frame)
            try:
                array = MODALITIES[modality].read(name, data)
            except BadSample as error:
                yield str(error)
                continue
            if MODALITIES[modality].encoding.is_image:
                shape = shape or array.shape[:2]
                if array.shape[:2] != shape:
                    yield f"{name}: is {_size(array.shape)}, not {_size(shape)}"
            if MODALITIES[modality].files == "whole" and len(array) != count:
                yield f"{name}: has {len(array)} frames, json says {count}"
            if MODALITIES[modality].files == "still":
                stills[modality] = array
            for what in MODALITIES[modality].encoding.faults(array):
                yield f"{name}: {what}"
    if "rgb" not in found:
        yield f"{sample.key}: has no rgb frames"
    still = {name for name in found if MODALITIES[name].files == "still"}
    if info and stills.keys() == still:  # else some could not be decoded, which was said
        for row in MODALITIES.values():
            if row.agrees is not None:
                yield from row.agrees(info, stills)
    for modality, frames in found.items():
        if MODALITIES[modality].files == "frames":
            numbers = {frame for frame in frames if frame is not None}
            if missing := set(range(count)) - numbers:
                yield f"{_span(sample.key, modality, missing)}: missing"
            if strangers := numbers - set(range(count)):
                yield f"{_span(sample.key, modality, strangers)}: json says {count} frames"


def _json_faults(info: dict[str, Any], split: str) -> Iterator[str]:
    indices = info["frame_indices"]
    for name in ("timestamps", "person_frames"):
        values = info.get(name)
        if values is not None and (not isinstance(values, list) or len(values) != len(indices)):
            yield f"json: {name} is not a list of {len(indices)}, one a frame"
    if sorted(set(indices)) != indices:
        yield "json: frame_indices do not rise"
    if split and info.get("split", split) != split:
        yield f"json: says split {info['split']!r}, but lies in {split!r}"


def _time_faults(key: str, info: dict[str, Any]) -> Iterator[str]:
    """Where key, frame numbers and times do not agree: a frame would lie under another's key."""
    indices, first, times = info["frame_indices"], info.get("first_frame"), info.get("timestamps")
    if first is not None and indices and first != indices[0]:
        yield f"json: first_frame is {first}, frame_indices begin with {indices[0]}"
    with suppress(ValueError):  # another's key
        if first is not None and (named := parse_key(key)[2]) != first:
            yield f"json: first_frame is {first}, the key says {named}"
    if len({b - a for a, b in pairwise(indices)}) > 1:
        yield "json: frame_indices are not evenly spaced"
    if not isinstance(times, list) or len(times) != len(indices):
        return
    if not all(isinstance(time, int | float) and math.isfinite(time) for time in times):
        yield "json: timestamps are not finite numbers"
        return
    steps = sorted(b - a for a, b in pairwise(times))
    if steps and steps[0] <= 0:
        yield "json: timestamps do not rise"
    elif steps and isinstance(fps := info.get("fps"), int | float):
        rate = 1 / steps[len(steps) // 2]
        if not rate / _RATE_SLACK <= fps <= rate * _RATE_SLACK:
            yield f"json: fps is {fps:g}, timestamps are {rate:.6g} a second"


def _overlap_faults(info: DatasetInfo, manifests: Mapping[_Shard, Manifest]) -> Iterator[Fault]:
    """Clips of one video that share frames though the recipe keeps them apart."""
    length, step, stride = (info.recipe.get(n) for n in ("clip_length", "frame_step", "stride"))
    if not (isinstance(length, int) and isinstance(step, int) and isinstance(stride or 0, int)):
        return
    apart = min(stride or length * step, (length - 1) * step + 1)
    by_video: dict[str, list[tuple[int, str, str]]] = {}
    for (split, index), manifest in manifests.items():
        name = f"{split}/{shard_name(index)}.tar"
        for sample in manifest.samples:
            if sample.video is not None and sample.first_frame is not None:
                of_video = by_video.setdefault(sample.video, [])
                of_video.append((sample.first_frame, sample.key, name))
    for clips in by_video.values():
        for (first, other, _), (second, key, name) in pairwise(sorted(clips)):
            if second - first < apart and key != other:
                what = f"begins {second - first} frames after {other}, and repeats frames of it"
                yield Fault(name, key, what)


def _entry_faults(sample: Sample, info: dict[str, Any], members: Members) -> Iterator[str]:
    sizes = {name: len(data) for name, data in members}
    given = vars(describe_sample(sample.key, info, sizes, sample.offset, sample.length))
    for name, said in vars(sample).items():
        # Without a json only the sizes can be compared.
        if said != given[name] and (info or name == "sizes"):
            yield f"manifest: says {name} {said}, the sample gives {given[name]}"


def _shape(info: dict[str, Any]) -> tuple[int, ...] | None:
    described = describe_sample("", info, {}, 0, 0)
    if described.width is None or described.height is None:
        return None
    return described.height, described.width


def _span(key: str, modality: str, frames: set[int]) -> str:
    """One line for any number of frames: a json may claim millions."""
    first = member_name(key, modality, min(frames))
    if len(frames) == 1:
        return first
    return f"{first} to {member_name(key, modality, max(frames))} ({len(frames)} frames)"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _latents_faults(root: Store, sources: Mapping[tuple[str, int], Manifest]) -> Iterator[Fault]:
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
            yield Fault(f"{name}/latents.json", "", f"is missing{_ENCODE_AGAIN}")
            continue
        for (split, index), source in sources.items():
            for fault in _latents_shard_faults(store, info, split, index, source):
                yield Fault(f"{name}/{fault.file}", fault.key, fault.what)
        yield from _latents_strangers(store, name, set(sources))


def _latents_shard_faults(
    store: Store, info: LatentsInfo, split: str, index: int, source: Manifest
) -> Iterator[Fault]:
    file = f"{split}/{shard_name(index)}.tar"
    try:
        manifest = load_manifest(store, split, index)
    except BadManifest as error:
        yield Fault(file, "", f"{str(error).rpartition(': ')[2]}{_ENCODE_AGAIN}")
        return
    if manifest.fingerprint != info.fingerprint(source):
        yield Fault(file, "", f"was made from another version of {file}{_ENCODE_AGAIN}")
        return
    if _checksum(store, file) != manifest.sha256:
        what = f"checksum differs from its manifest's: delete {shard_name(index)}.json there"
        yield Fault(file, "", f"{what} and encode again")
    wanted = {sample.key: sample for sample in source.samples}
    if list(wanted) != [sample.key for sample in manifest.samples]:
        yield Fault(file, "", f"its keys are not those of {file}{_ENCODE_AGAIN}")
    for sample in manifest.samples:
        for what in _latents_sample_faults(store, file, sample, wanted.get(sample.key), info):
            yield Fault(file, sample.key, what)


def _latents_sample_faults(
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
    for name, row in latents_rows().items():
        member = latents_member(sample.key, name)
        if member not in members:
            if name == "rgb_latents":
                yield f"{member}: missing"
            continue
        shape = info.shape if row.files == "still" else (frames, *info.shape)
        try:
            if not np.isfinite(decode_moments(member, members[member], shape)).all():
                yield f"{member}: not all values are finite"
        except BadSample as error:
            yield str(error)


def _latents_strangers(store: Store, name: str, sources: set[tuple[str, int]]) -> Iterator[Fault]:
    for split, is_folder in store.list().items():
        for index in list_shards(store, split) if is_folder else ():
            if (split, index) not in sources:
                file = f"{name}/{split}/{shard_name(index)}.tar"
                yield Fault(file, "", f"belongs to no shard of the dataset{_ENCODE_AGAIN}")
