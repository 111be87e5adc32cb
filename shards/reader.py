"""Reading a dataset: which samples there are, and any of them by its key, without a scan."""

import difflib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby, islice

from shards.collected import read_collected
from shards.dataset import DatasetInfo, read_info
from shards.errors import BadManifest, BadSample, BadTar, NotADataset, UnknownKey
from shards.files.digest import MOST_CLIP_JSON, parse_json
from shards.files.storage import Store
from shards.files.tars import iter_headers, read_members
from shards.manifest import (
    Manifest,
    Sample,
    describe_sample,
    find_manifest,
    list_shards,
    load_all_manifests,
    shard_name,
)
from shards.sample.clip import Clip
from shards.sample.codec import decode_clip
from shards.sample.modalities import JSON, split_name

__all__ = ["Dataset", "Entry", "Shard", "check_tar", "open_dataset", "read_sample", "scan_tar"]

# Shards of a split that are not there and are named: as many as a file's number may claim.
_MISSING = 1000

_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class Shard:
    """A tar and what is known of it. `name` is its path in the dataset, `train/shard-00000.tar`."""

    store: Store
    name: str
    manifest: Manifest

    @property
    def url(self) -> str:
        return self.store.url(self.name)


@dataclass(frozen=True)
class Entry:
    """A sample of a dataset and the shard it is in."""

    shard: Shard
    sample: Sample

    @property
    def key(self) -> str:
        return self.sample.key


def read_sample(entry: Entry) -> list[tuple[str, bytes]]:
    """`(name, bytes)` of a sample's members, by one ranged read of the tar.

    Raises BadTar (UnsafeMember for hostile names) or StorageError, naming shard and key.
    """
    sample = entry.sample
    data = entry.shard.store.read(entry.shard.name, sample.offset, sample.offset + sample.length)
    return read_members(data, label=f"{entry.shard.url}: sample {sample.key}")


@dataclass(frozen=True)
class Dataset:
    """The committed shards of a dataset, of one split of it, or a single tar; see `open_dataset`.

    `ignored` says why other shards do not exist: no valid manifest, or no file at all where a
    complete dataset has them.
    """

    url: str
    info: DatasetInfo | None
    shards: tuple[Shard, ...]
    ignored: tuple[BadManifest, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(sorted({shard.manifest.split for shard in self.shards}))

    def has_split(self, split: str) -> bool:
        """Whether there are clips in a split of this name."""
        return any(s.manifest.split == split and s.manifest.samples for s in self.shards)

    def shards_of(self, split: str | None = None) -> tuple[Shard, ...]:
        """The shards of a split: `train`, or the only one, unless given.

        A split's folder, or a tar, is taken whole. Raises NotADataset where there are no clips.
        """
        if not any(shard.manifest.samples for shard in self.shards):
            raise NotADataset(f"{self.url}: holds no clips")
        if all("/" not in shard.name for shard in self.shards):
            return self.shards
        splits = self.splits
        if split is None:
            split = splits[0] if len(splits) == 1 else "train"
        if split not in splits:
            there = ", ".join(splits)
            raise NotADataset(f"{self.url}: has no split {split!r}; there are: {there}")
        if not self.has_split(split):
            raise NotADataset(
                f"{self.url}: its split {split!r} holds no clips: `idol-shards stats` says what "
                "failed; if too many videos were held out, build with a smaller --val-fraction"
            )
        return tuple(shard for shard in self.shards if shard.manifest.split == split)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """All samples by key, in the order of splits, shards, and places in the tars.

        Raises NotADataset, naming both, where two shards hold one key.
        """
        found: dict[str, Entry] = {}
        for shard in self.shards:
            for sample in shard.manifest.samples:
                if (other := found.get(sample.key)) is not None:
                    raise NotADataset(
                        f"{self.url}: {sample.key} is in {other.shard.name} and in {shard.name}: "
                        "take one of the two away (`idol-shards verify` lists all such samples)"
                    )
                found[sample.key] = Entry(shard, sample)
        return found

    def find(self, key: str) -> Entry:
        """The sample with a key, or with the only key that begins so.

        Raises UnknownKey, with its reason for a clip of this very key that was quarantined.
        """
        if key in self.entries:
            return self.entries[key]
        if not self.entries:
            unfinished = self.info is not None and self.info.status != "complete"
            raise UnknownKey(f"{self.url}: has no samples{' yet' if unfinished else ''}")
        for shard in self.shards:
            for failed in shard.manifest.quarantined:
                if failed.key == key:
                    raise UnknownKey(f"{self.url}: {key} was quarantined: {failed.reason}")
        matches = [known for known in self.entries if known.startswith(key)]
        if len(matches) == 1:
            return self.entries[matches[0]]
        if matches:
            some = ", ".join(matches[:5]) + (", …" if len(matches) > 5 else "")
            raise UnknownKey(f"{len(matches)} keys begin with {key!r}: {some}; give more of it")
        close = difflib.get_close_matches(key, self.entries, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; `idol-shards ls` lists keys"
        raise UnknownKey(f"{self.url}: no sample {key!r}{hint}")

    def read(
        self,
        key: str,
        *,
        modalities: Iterable[str] | None = None,
        frames: Sequence[int] | None = None,
    ) -> Clip:
        """The clip with a key; `modalities` and `frames` as in `decode_clip`.

        Raises UnknownKey, BadSample, BadTar or StorageError.
        """
        return decode_clip(read_sample(self.find(key)), modalities=modalities, frames=frames)

    def clips(self, *, modalities: Iterable[str] | None = None) -> Iterator[Clip]:
        """All clips, in the order of `entries`. Raises as `read`."""
        wanted = None if modalities is None else tuple(modalities)
        for entry in self.entries.values():
            yield decode_clip(read_sample(entry), modalities=wanted)


def open_dataset(path: str | os.PathLike[str] | Store) -> Dataset:
    """The dataset at a path or URL: its root, a split's folder, or one tar.

    A tar without a manifest (someone else's WebDataset) is scanned for its samples.
    Raises NotADataset when there is nothing of the kind, BadTar for a damaged tar.
    """
    store = Store.at(path)
    if store.size() is not None:
        return _open_tar(store)
    info = read_info(store)
    here = store.contents()
    sizes = {"": {name: size for name, size in here.items() if size is not None}}
    sizes |= {name: store.sizes(name) for name, size in here.items() if size is None}
    complete = info is not None and info.status == "complete"
    collected = partial(read_collected, store) if complete and not store.is_local else None
    found = load_all_manifests(store, sizes, collected)
    if info is None and not found:
        exists = "holds no dataset.json and no shards" if here else "is empty or absent"
        raise NotADataset(f"{store.url()}: {exists}; give a dataset, a split's folder or a tar")
    shards, ignored = [], []
    for (split, _), manifest in found.items():
        if isinstance(manifest, BadManifest):
            ignored.append(manifest)
        else:
            name = f"{split}/{manifest.tar}" if split else manifest.tar
            shards.append(Shard(store, name, manifest))
    if info is not None and complete:
        ignored += _not_there(store, info, found)
    return Dataset(store.url(), info, tuple(shards), tuple(ignored))


def _not_there(
    store: Store, info: DatasetInfo, found: Collection[tuple[str, int]]
) -> Iterator[BadManifest]:
    """What a complete dataset lacks wholly: a copy of it may have been cut short."""
    for split, count in info.shards_by_split.items():
        missing = (index for index in range(count) if (split, index) not in found)
        for index in islice(missing, _MISSING):
            yield BadManifest(
                f"{store.url(f'{split}/{shard_name(index)}.tar')} is missing, and so is its "
                "manifest, of a dataset that was complete: copy them too, or run the build's "
                "command again"
            )


def _open_tar(file: Store) -> Dataset:
    check_tar(file)
    folder, _, name = file.root.rpartition("/")
    store = Store(file.fs, folder)
    for index in list_shards(store, ""):
        if name == f"{shard_name(index)}.tar":
            manifest = find_manifest(store, "", index)
            if manifest is not None:
                return Dataset(file.url(), None, (Shard(store, name, manifest),))
    return Dataset(file.url(), None, (Shard(store, name, scan_tar(store, name)),))


def check_tar(file: Store) -> None:
    """Raise NotADataset for what is not named as a plain tar."""
    if not file.root.endswith(".tar"):
        packed = file.root.endswith(_PACKED)
        what = "is compressed: unpack it first" if packed else "is no folder and no .tar"
        raise NotADataset(f"{file.url()}: {what}")


def scan_tar(store: Store, name: str) -> Manifest:
    """What a manifest would say of the tar `name`, but for the checksum, which is left empty.

    Reads headers and json members alone. Raises BadTar when the tar is damaged or the members of
    a sample are apart, UnsafeMember for members that are no plain files, BadSample for bad json.
    """
    label = store.url(name)
    samples = []
    with store.open(name) as file:
        headers = list(iter_headers(file, label=label))
        for key, group in groupby(headers, lambda member: split_name(member.name)[0]):
            members = list(group)
            info = {}
            for member in members:
                if split_name(member.name)[1] == JSON:
                    file.seek(member.data_offset)
                    data = file.read(min(member.size, MOST_CLIP_JSON + 1))
                    info = _parse_json(data, f"{label}: {member.name}")
            start, end = members[0].offset, members[-1].end
            sizes = {member.name: member.size for member in members}
            samples.append(describe_sample(key, info, sizes, start, end - start))
    if len({sample.key for sample in samples}) != len(samples):
        raise BadTar(f"{label}: members of a sample are apart; sort the tar by name to read it")
    return Manifest("", 0, store.size(name) or 0, "", tuple(samples))


def _parse_json(data: bytes, label: str) -> dict:
    try:
        value = parse_json(data, limit=MOST_CLIP_JSON)
    except ValueError as error:
        raise BadSample(f"{label}: is not JSON ({error})") from error
    return value if isinstance(value, dict) else {}
