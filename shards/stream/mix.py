"""A mix file: datasets and the shares in which they are streamed, as one path.

    mix.json    {"schema": 1, "paths": [{"path": "coco", "weight": 0.2}, …]}

Paths are relative to the file, or absolute, or URLs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from shards.dataset import FILE
from shards.errors import NotADataset
from shards.files.canonical import parse_json
from shards.files.storage import Store
from shards.stream.catalogue import DataPath

__all__ = ["MIX", "Mix", "expand_mix", "find_mix"]

MIX = "mix.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Mix:
    """`paths` of datasets, and a positive weight for each."""

    paths: tuple[Store, ...]
    weights: tuple[float, ...]


def find_mix(path: str | os.PathLike[str] | Store) -> Mix | None:
    """The mix at a path: a file `….json`, or a folder with `mix.json` and without a dataset.

    None for anything else. Raises NotADataset, naming the file, for one that cannot be read, is of
    another schema, or names a path where nothing is; StorageError.
    """
    store = Store.at(path)
    folder, _, name = store.root.rpartition("/")
    if name.endswith(".json"):
        home = Store(store.fs, folder)
    elif store.size(MIX) is not None and store.size(FILE) is None:
        home, name = store, MIX
    else:
        return None
    label = home.url(name)
    if home.size(name) is None:
        raise NotADataset(f"{label}: there is no such file")
    return _parse(home.read(name), home, label)


def expand_mix(
    paths: DataPath | Sequence[DataPath], weights: Sequence[float] | None
) -> tuple[DataPath | Sequence[DataPath], Sequence[float] | None]:
    """The paths and weights that a mix file stands for; anything else as it is.

    Raises ValueError for a mix among other paths or with weights, NotADataset as `find_mix`.
    """
    listed = [paths] if isinstance(paths, (str, os.PathLike, Store)) else [*paths]
    mixes = [(path, mix) for path in listed if (mix := find_mix(path)) is not None]
    if not mixes:
        return paths, weights
    path, mix = mixes[0]
    if len(listed) > 1 or weights is not None:
        url = Store.at(path).url()
        raise ValueError(f"{url} says itself what to mix: give it alone, and no weights")
    return mix.paths, mix.weights


def _parse(data: bytes, home: Store, label: str) -> Mix:
    try:
        content = parse_json(data)
    except ValueError as error:
        raise NotADataset(f"{label}: not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise NotADataset(f"{label}: of schema {schema!r}; this version reads mixes of {_SCHEMA}")
    entries = content.get("paths")
    if not isinstance(entries, list) or not entries:
        raise NotADataset(f"{label}: its `paths` are no list of datasets")
    paths, weights = zip(*(_entry(entry, home, label) for entry in entries), strict=True)
    return Mix(paths, weights)


def _entry(entry: object, home: Store, label: str) -> tuple[Store, float]:
    path = entry.get("path") if isinstance(entry, dict) else None
    weight = entry.get("weight") if isinstance(entry, dict) else None
    if (
        not isinstance(path, str)
        or not path
        or not isinstance(weight, (int, float))
        or isinstance(weight, bool)
        or not (math.isfinite(weight) and weight > 0)
    ):
        raise NotADataset(f'{label}: {entry!r} is not {{"path": …, "weight": a positive number}}')
    absolute = "://" in path or path.startswith(("/", "~"))
    store = Store.at(path) if absolute else home.folder(path)
    if store.size() is None and not store.list():
        raise NotADataset(f"{label}: names {store.url()}, where nothing is")
    return store, float(weight)
