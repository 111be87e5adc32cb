"""`idol-shards verify`: every fault of a dataset, each with its file and key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shards.dataset import FILE, DatasetInfo, read_info
from shards.describe import count_totals
from shards.errors import NotADataset, OldSchema, ShardsError
from shards.files.storage import Store
from shards.index import INDEX, index_rows, read_index
from shards.inspect.check_shard import Fault, check_shard, check_tar
from shards.latents.check import latents_faults
from shards.latents.info import FILE as LATENTS_FILE
from shards.manifest import Manifest, list_shards, shard_name

__all__ = ["verify"]

_Shard = tuple[str, int]


def verify(
    path: str | Store, *, track: Callable[[list[_Shard]], Iterable[_Shard]] = iter
) -> Iterator[Fault]:
    """Faults of a dataset, a split's folder or a single tar; none when all is well.

    Checks dataset.json, every manifest, every tar's checksum and layout, every sample (see
    `sample_faults`), that index and totals agree with the manifests, and cached latents. Goes on
    after each fault. `track` wraps the iteration over shards, to show progress.
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
        manifest, faults = check_shard(store, *shard)
        yield from faults
        if manifest is not None:
            manifests[shard] = manifest
        sound = sound and not faults
    homes: dict[str, str] = {}
    for (split, index), manifest in manifests.items():
        name = f"{split}/{shard_name(index)}.tar"
        for key in (sample.key for sample in manifest.samples):
            if homes.setdefault(key, name) != name:
                yield Fault(name, key, f"is in {homes[key]} too")
    if info is not None:
        for (split, index), manifest in manifests.items():
            if manifest.fingerprint not in (None, info.fingerprint):
                what = f"was made with another recipe than {FILE} says: delete it and build again"
                yield Fault(f"{split}/{shard_name(index)}.json", "", what)
        yield from _missing_shards(info, shards)
        yield from _summary_faults(store, info, list(manifests.values()), sound=sound)
    yield from latents_faults(store, manifests)


def _lone_tar(file: Store) -> Iterator[Fault]:
    folder, _, name = file.root.rpartition("/")
    store = Store(file.fs, folder)
    if not name.endswith(".tar"):
        raise NotADataset(f"{file.url()}: is no folder and no .tar")
    for index, have in list_shards(store, "").items():
        if name == f"{shard_name(index)}.tar" and "json" in have:
            yield from check_shard(store, "", index)[1]
            return
    yield from check_tar(store, name)


def _missing_shards(info: DatasetInfo, shards: list[_Shard]) -> Iterator[Fault]:
    if info.status != "complete":
        yield Fault(FILE, "", f"status is {info.status}: run the build again to finish it")
    planned = {split: t["shards"] for split, t in info.totals.get("splits", {}).items()}
    for split in sorted({*planned, *(split for split, _ in shards)}):
        have = {index for other, index in shards if other == split}
        for index in sorted(set(range(planned.get(split, max(have, default=-1) + 1))) - have):
            yield Fault(
                f"{split}/{shard_name(index)}.tar", "", "is missing, and so is its manifest"
            )


def _summary_faults(
    store: Store, info: DatasetInfo, manifests: list[Manifest], *, sound: bool
) -> Iterator[Fault]:
    if info.status == "complete" and sound and info.totals != count_totals(manifests):
        yield Fault(FILE, "", "totals are not those of the manifests")
    try:
        rows = read_index(store)
    except ShardsError as error:
        yield Fault(INDEX, "", str(error).removeprefix(f"{store.url(INDEX)}: "))
        return
    if rows is None:
        if info.status == "complete":
            yield Fault(INDEX, "", "is missing")
        return
    readable = {(manifest.split, manifest.index) for manifest in manifests}
    expected = {row["key"]: row for row in index_rows(manifests)}
    # Rows of a shard that cannot be read say nothing new: the shard itself was reported.
    found = {r["key"]: r for r in rows if (r["split"], r["shard"]) in readable}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            yield Fault(INDEX, key, "has no row for this sample")
        elif key not in expected:
            yield Fault(INDEX, key, "has a row for it, but no manifest does")
        else:
            names = [n for n, value in expected[key].items() if found[key].get(n) != value]
            if names:
                yield Fault(INDEX, key, f"differs from the manifest in {', '.join(names)}")
