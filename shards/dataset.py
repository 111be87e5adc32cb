"""A dataset being built: `dataset.json`, who may write into a folder, and how a build ends."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from shards.collected import COLLECTED, Collector
from shards.errors import BadManifest, NotADataset, OldSchema, RecipeMismatch
from shards.files.digest import canonical_json, parse_json, sha256
from shards.files.storage import Store
from shards.index import INDEX, index_bytes
from shards.manifest import (
    SCHEMA,
    Manifest,
    Totals,
    list_shards,
    load_each,
    load_manifests,
    old_schema,
    shard_name,
)
from shards.videos import VIDEOS

__all__ = [
    "FILE",
    "Build",
    "DatasetInfo",
    "check_for_build",
    "fingerprint",
    "is_latents_folder",
    "open_for_build",
    "read_info",
    "source_of",
    "summaries_of",
]

FILE = "dataset.json"
_LATENTS = re.compile(r"latents-[0-9a-f]{12}-[0-9]+")
_REMAKE = f"delete {FILE} and run the same build command again: shards that are whole are kept"


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says. Nothing in it depends on when or where the build ran.

    `recipe`   plain JSON from the caller; its hash is the dataset's `fingerprint`.
    `status`   `building` or `complete`.
    `totals`   empty until complete, then what the manifests add up to, over all and by split.
    `software`, `weights`, `extras`   plain JSON from the caller.
    """

    recipe: dict[str, Any]
    status: str = "building"
    totals: dict[str, Any] = field(default_factory=dict)
    software: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.recipe)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of each generation, which the shards of it bear: what `fingerprint` was when it was made.

        One alone unless the dataset was extended.
        """
        summaries = summaries_of(self.recipe)
        return tuple(
            fingerprint({**self.recipe, "source": source_of(summaries[: number + 1])})
            for number in range(len(summaries) - 1)
        ) + (self.fingerprint,)

    @property
    def shards_by_split(self) -> dict[str, int]:
        """Shards of each split by the totals, where these are such numbers."""
        splits = self.totals.get("splits")
        counts = {
            split: totals.get("shards") if isinstance(totals, dict) else None
            for split, totals in (splits.items() if isinstance(splits, dict) else ())
        }
        return {split: count for split, count in counts.items() if type(count) is int}

    def as_json(self) -> dict[str, Any]:
        """What the file says, as plain JSON."""
        return {"schema": SCHEMA, "fingerprint": self.fingerprint, **vars(self)}


_FIELDS = tuple(field.name for field in fields(DatasetInfo))


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe's canonical JSON, 64 hexadecimal digits."""
    return sha256(canonical_json(recipe))


def source_of(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a recipe says of a source that grew: sums over its generations, and each of them.

    Of a single generation its summary alone.
    """
    if len(summaries) == 1:
        return dict(summaries[0])
    together = {
        name: sum(summary[name] for summary in summaries)
        for name in ("videos", "frames", "unreadable")
    }
    digest = sha256(canonical_json([summary["sha256"] for summary in summaries]))
    return {**together, "sha256": digest, "generations": [dict(one) for one in summaries]}


def summaries_of(recipe: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The summaries of the generations in a recipe's `source`; none where it has no source."""
    source = recipe.get("source")
    if not isinstance(source, dict):
        return ()
    found = source.get("generations", [source])
    if not isinstance(found, list) or not all(_is_summary(one) for one in found):
        return ()
    return tuple(found)


def _is_summary(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), int) for name in ("videos", "frames", "unreadable"))
        and isinstance(value.get("sha256"), str)
    )


def is_latents_folder(name: str) -> bool:
    """Whether a folder of a dataset holds cached latents (`shards.latents`), by its name."""
    return _LATENTS.fullmatch(name) is not None


def read_info(root: str | os.PathLike[str] | Store) -> DatasetInfo | None:
    """What a folder's `dataset.json` says; None when there is none.

    Raises NotADataset when it is damaged or was written by a newer version, OldSchema by an older.
    """
    store = Store.at(root)
    data = store.read_if_there(FILE)
    if data is None:
        return None
    try:
        value = parse_json(data)
    except ValueError as error:
        raise _damaged(store, f"it is not JSON ({error})") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if type(schema) is not int:
        raise _damaged(store, "it names no schema")
    if schema > SCHEMA:
        raise NotADataset(
            f"{store.url(FILE)}: has schema {schema}, this version reads up to {SCHEMA}: "
            "upgrade idol-video"
        )
    if schema < SCHEMA:
        raise OldSchema(f"{store.url(FILE)}: {old_schema(schema)}")
    for name in (*_FIELDS, "fingerprint"):
        kind = str if name in ("status", "fingerprint") else dict
        if not isinstance(value.get(name), kind):
            raise _damaged(store, f"its field {name} is missing or of another type")
    try:
        canonical_json(value)
    except ValueError as error:
        raise _damaged(store, "it holds a number that is not finite") from error
    info = DatasetInfo(**{name: value[name] for name in _FIELDS})
    if value["fingerprint"] != info.fingerprint:
        raise NotADataset(
            f"{store.url(FILE)}: was edited, its fingerprint is not that of its recipe: {_REMAKE}"
        )
    return info


def check_for_build(root: str | os.PathLike[str] | Store, recipe: Mapping[str, Any]) -> None:
    """Find early what `open_for_build` would refuse: before the source is known, whose part of
    the recipe may be left out.

    Tries to write there, and leaves nothing. Raises as `open_for_build`, and StorageError.
    """
    store = Store.at(root)
    store.check_writable()
    old = read_info(store)
    if old is None:
        _check_ours(store, None)
        return
    plain = parse_json(canonical_json(recipe))
    there = {name: value for name, value in old.recipe.items() if name in plain or name != "source"}
    _refuse_differences(store, there, plain)


def open_for_build(
    root: str | os.PathLike[str] | Store,
    recipe: Mapping[str, Any],
    *,
    software: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    extras: Mapping[str, Any] | None = None,
    extends: Sequence[Mapping[str, Any]] = (),
    videos: bytes | None = None,
) -> Build:
    """Start a dataset in an empty or absent folder, or continue one of the same recipe.

    Writes `dataset.json` with status `building` and removes temporaries of killed writers; call it
    once, before any worker writes. A folder that has lost its `dataset.json` is continued too, if
    it holds nothing but shards whose manifests all bear this recipe's fingerprint.
    `extends`: recipes of earlier generations, whose dataset this one may continue; `videos` is
    then the file that tells them (`shards.videos`), which is written first.
    Raises RecipeMismatch, listing the fields that differ, for a dataset of another recipe, and
    NotADataset for a folder that holds anything else.
    """
    store = Store.at(root)
    if store.size() is not None:
        raise NotADataset(f"{store.url()}: is a file; choose a folder")
    old = read_info(store)
    plain = parse_json(canonical_json(recipe))
    if old is None:
        _check_ours(store, {fingerprint(recipe) for recipe in (plain, *extends)})
    elif old.recipe not in [parse_json(canonical_json(earlier)) for earlier in extends]:
        _refuse_differences(store, old.recipe, plain)
    store.sweep()
    for name, is_folder in store.list().items():
        if is_folder:
            store.sweep(name)
    info = DatasetInfo(
        recipe=plain,
        software=dict(software or {}),
        weights=dict(weights or {}),
        extras=dict(extras or {}),
    )
    if videos is not None:
        store.write_bytes(VIDEOS, videos)
    store.write_bytes(FILE, canonical_json(info.as_json(), indent=2))
    return Build(store, info)


@dataclass(frozen=True)
class Build:
    """An open build: any process may commit shards to `store` by `commit_shard`; then finish."""

    store: Store
    info: DatasetInfo

    def finish(self, shards: Mapping[str, int]) -> DatasetInfo:
        """Write `index.parquet` and `manifests.gz`, then `dataset.json` with status `complete` and
        totals.

        `shards`: number of shards planned in each split. Shards beyond the plan, left by a build
        of a larger source, are removed.
        Raises BadManifest naming a planned shard that was not committed; the build stays open.
        """
        planned = [(split, index) for split in sorted(shards) for index in range(shards[split])]
        totals = Totals()
        collected = Collector()

        def each() -> Iterator[Manifest]:
            for manifest in load_each(self.store, planned):
                if isinstance(manifest, BadManifest):
                    raise manifest
                totals.add(manifest)
                collected.add(manifest)
                yield manifest

        table = index_bytes(each())
        for split, is_folder in self.store.list().items():
            for index in list_shards(self.store, split) if is_folder else ():
                if index >= shards.get(split, 0):
                    for extension in ("json", "tar"):
                        self.store.remove(f"{split}/{shard_name(index)}.{extension}")
        self.store.write_bytes(INDEX, table)
        self.store.write_bytes(COLLECTED, collected.bytes())
        done = replace(self.info, status="complete", totals=totals.as_json())
        self.store.write_bytes(FILE, canonical_json(done.as_json(), indent=2))
        return done


def _damaged(store: Store, what: str) -> NotADataset:
    return NotADataset(f"{store.url(FILE)}: is damaged: {what}: {_REMAKE}")


def _refuse_differences(store: Store, there: Any, here: Any) -> None:
    if differences := list(_differences(there, here)):
        raise RecipeMismatch(
            f"{store.url()}: was made with another recipe:\n"
            + "".join(f"  {line}\n" for line in differences)
            + "Build into another folder, or delete this one."
        )


def _check_ours(store: Store, ours: Collection[str] | None) -> None:
    """Raises unless a folder without `dataset.json` is empty or all its shards bear `ours`, where
    that is known."""
    entries = store.list()
    if not entries.keys() - {VIDEOS}:  # which is written first, and may be all that a kill leaves
        return
    shards, strangers = [], []
    for name, is_folder in entries.items():
        if is_folder and is_latents_folder(name):
            continue  # they say themselves whether they still fit
        if is_folder:
            indices = list_shards(store, name)
            shards += [(name, index) for index in indices]
            files = {f"{shard_name(i)}.{ext}" for i, have in indices.items() for ext in have}
            strangers += [f"{name}/{other}" for other in store.list(name) if other not in files]
        elif name not in (INDEX, COLLECTED, VIDEOS):
            strangers.append(name)
    # A shard without a valid manifest says nothing: it does not exist, and will be made again.
    found = [m for m in load_manifests(store, shards) if isinstance(m, Manifest)]
    if strangers or not found or any(m.fingerprint is None for m in found):
        holds = (strangers or list(entries))[0]
        raise NotADataset(
            f"{store.url()}: is not empty and holds no {FILE} (but {holds}); choose an empty folder"
        )
    for manifest in found:
        if ours is not None and manifest.fingerprint not in ours:
            raise RecipeMismatch(
                f"{store.url()}: holds no {FILE}, and {manifest.split}/{manifest.tar} was made "
                "with another recipe. Build into another folder, or delete this one."
            )


def _differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for field_name in sorted(there.keys() | here.keys()):
            path = f"{name}.{field_name}" if name else field_name
            if field_name not in there:
                yield f"{path}: absent there, {json.dumps(here[field_name])} here"
            elif field_name not in here:
                yield f"{path}: {json.dumps(there[field_name])} there, absent here"
            else:
                yield from _differences(there[field_name], here[field_name], path)
    elif there != here:
        yield f"{name}: {json.dumps(there)} there, {json.dumps(here)} here"
