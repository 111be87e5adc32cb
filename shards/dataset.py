"""A dataset being built: `dataset.json`, who may write into a folder, and how a build ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shards.canonical import canonical_json, sha256
from shards.describe import count_totals
from shards.errors import BadManifest, NotADataset, RecipeMismatch
from shards.index import INDEX, index_bytes
from shards.manifest import list_shards, load_manifests, shard_name
from shards.storage import Store

__all__ = ["FILE", "Build", "DatasetInfo", "fingerprint", "open_for_build", "read_info"]

SCHEMA = 1
FILE = "dataset.json"


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

    def as_json(self) -> dict[str, Any]:
        """What the file says, as plain JSON."""
        return {"schema": SCHEMA, "fingerprint": self.fingerprint, **vars(self)}


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe's canonical JSON, 64 hexadecimal digits."""
    return sha256(canonical_json(recipe))


def read_info(root: str | os.PathLike[str] | Store) -> DatasetInfo | None:
    """What a folder's `dataset.json` says; None when there is none.

    Raises NotADataset when it is damaged or was written by a newer version.
    """
    store = Store.at(root)
    if store.size(FILE) is None:
        return None
    try:
        value = json.loads(store.read(FILE))
        if value["schema"] > SCHEMA:
            raise NotADataset(
                f"{store.url(FILE)}: has schema {value['schema']}, this version reads up to "
                f"{SCHEMA}: upgrade idol-video"
            )
        names = ("recipe", "status", "totals", "software", "weights", "extras")
        info = DatasetInfo(**{name: value[name] for name in names})
        intact = value["fingerprint"] == info.fingerprint
    except (ValueError, KeyError, TypeError) as error:
        raise NotADataset(f"{store.url(FILE)}: is damaged ({error!r})") from error
    if not intact:
        raise NotADataset(f"{store.url(FILE)}: was edited: fingerprint and recipe disagree")
    return info


def open_for_build(
    root: str | os.PathLike[str] | Store,
    recipe: Mapping[str, Any],
    *,
    software: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    extras: Mapping[str, Any] | None = None,
) -> Build:
    """Start a dataset in an empty or absent folder, or continue one of the same recipe.

    Writes `dataset.json` with status `building` and removes temporaries of killed writers; call it
    once, before any worker writes. Raises RecipeMismatch, listing the fields that differ, for a
    dataset of another recipe, and NotADataset for a folder that holds anything else.
    """
    store = Store.at(root)
    if store.size() is not None:
        raise NotADataset(f"{store.url()}: is a file; choose a folder")
    old = read_info(store)
    if old is None and (others := list(store.list())):
        raise NotADataset(
            f"{store.url()}: is not empty and holds no {FILE} (but {others[0]}); "
            "choose an empty folder"
        )
    plain = json.loads(canonical_json(recipe))
    if old is not None and (differences := list(_differences(old.recipe, plain))):
        raise RecipeMismatch(
            f"{store.url()}: was made with another recipe:\n"
            + "".join(f"  {line}\n" for line in differences)
            + "Build into another folder, or delete this one."
        )
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
    store.write_bytes(FILE, canonical_json(info.as_json(), indent=2))
    return Build(store, info)


@dataclass(frozen=True)
class Build:
    """An open build: any process may commit shards to `store` by `commit_shard`; then finish."""

    store: Store
    info: DatasetInfo

    def finish(
        self, shards: Mapping[str, int], *, extras: Mapping[str, Any] | None = None
    ) -> DatasetInfo:
        """Write `index.parquet`, then `dataset.json` with status `complete` and totals.

        `shards`: number of shards planned in each split. Shards beyond the plan, left by a build
        of a larger source, are removed. `extras` replace those given at the start, if any.
        Raises BadManifest naming a planned shard that was not committed; the build stays open.
        """
        planned = [(split, index) for split in sorted(shards) for index in range(shards[split])]
        manifests = []
        for manifest in load_manifests(self.store, planned):
            if isinstance(manifest, BadManifest):
                raise manifest
            manifests.append(manifest)
        for split, is_folder in self.store.list().items():
            for index in list_shards(self.store, split) if is_folder else ():
                if index >= shards.get(split, 0):
                    for extension in ("json", "tar"):
                        self.store.remove(f"{split}/{shard_name(index)}.{extension}")
        self.store.write_bytes(INDEX, index_bytes(manifests))
        done = replace(
            self.info,
            status="complete",
            totals=count_totals(manifests),
            extras=self.info.extras if extras is None else dict(extras),
        )
        self.store.write_bytes(FILE, canonical_json(done.as_json(), indent=2))
        return done


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
