"""A mixture: datasets that are streamed together, and the mix file that names them as one path.

    mix.json    {"schema": 1, "paths": [{"path": "coco", "weight": 0.2}, …]}

Paths are relative to the file, or absolute, or URLs.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shards.dataset import FILE
from shards.errors import LatentsMissing, NotADataset
from shards.files.digest import canonical_json, parse_json
from shards.files.storage import Store
from shards.latents import Latents, open_latents
from shards.reader import Dataset, open_dataset

__all__ = ["MIX", "DataPath", "Mixture", "open_mixture", "read_mix", "write_mix"]

MIX = "mix.json"
DataPath = str | os.PathLike[str] | Store
_SCHEMA = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mixture:
    """Opened datasets. With `weights`, one for each, they are mixed in these proportions; without,
    they are shuffled together. `latents` are their cached latents, one for each, if opened.

    Raises ValueError for another number of weights than of datasets.
    """

    datasets: tuple[Dataset, ...]
    weights: tuple[float, ...] | None = None
    latents: tuple[Latents, ...] | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.datasets):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.datasets)} paths: give one for each"
            )

    def having(self, split: str) -> Mixture:
        """Those datasets that have clips in this very split; weights keep their proportions."""
        chosen = [i for i, dataset in enumerate(self.datasets) if dataset.has_split(split)]
        return Mixture(
            tuple(self.datasets[i] for i in chosen),
            self.weights and tuple(self.weights[i] for i in chosen),
            self.latents and tuple(self.latents[i] for i in chosen),
        )

    def with_latents(self, wanted: str | bool) -> Mixture:
        """The same with the cached latents of every dataset opened: of one VAE, and one size.

        `wanted` is the name of their folder, or True for the only ones; what is open already is
        not opened again. Raises LatentsMissing.
        """
        if self.latents and wanted in (True, self.latents[0].info.folder):
            return self
        latents = tuple(open_latents(dataset, wanted) for dataset in self.datasets)
        folders = {opened.info.folder: opened.root.url() for opened in reversed(latents)}
        if len(folders) > 1:
            (other, there), *_, (first, here) = folders.items()
            raise LatentsMissing(
                f"{there} has {other}, but {here} has {first}: encode all datasets of a stream "
                "with one VAE and size"
            )
        return replace(self, latents=latents)


@dataclass(frozen=True)
class MixEntry:
    """A dataset of a mix file: `path` as written there, and where that is."""

    path: str
    weight: float
    store: Store


def open_mixture(
    data: Mixture | Dataset | DataPath | Sequence[Dataset | DataPath],
    weights: Sequence[float] | None = None,
) -> Mixture:
    """Open what is not open yet: each path once, a mix file as the datasets that it names.

    Shards that do not exist for want of a valid manifest are logged.
    Raises ValueError for a mix among other paths or with weights, or for weights that do not fit;
    NotADataset for no path, a path without a dataset, or a mix file as `read_mix`; StorageError.
    """
    if isinstance(data, Mixture):
        return data if weights is None else replace(data, weights=tuple(weights))
    one = isinstance(data, (str, os.PathLike, Store, Dataset))
    listed: list[Dataset | DataPath] = [data] if one else [*data]  # type: ignore[list-item, misc]
    if not listed:
        raise NotADataset("no path of a dataset was given")
    paths: list[Dataset | DataPath] = []
    for path in listed:
        mix = None if isinstance(path, Dataset) else read_mix(path)
        if mix is None:
            paths.append(path)
            continue
        if len(listed) > 1 or weights is not None:
            url = Store.at(path).url()  # type: ignore[arg-type]
            raise ValueError(f"{url} says itself what to mix: give it alone, and no weights")
        paths, weights = [entry.store for entry in mix], [entry.weight for entry in mix]
    datasets = tuple(path if isinstance(path, Dataset) else _open(path) for path in paths)
    return Mixture(datasets, None if weights is None else tuple(weights))


def read_mix(path: DataPath) -> tuple[MixEntry, ...] | None:
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


def write_mix(folder: DataPath, weights: Mapping[str, float]) -> None:
    """Write a folder's `mix.json`: weights of datasets by their paths, relative to the folder."""
    paths = [{"path": path, "weight": weight} for path, weight in weights.items()]
    Store.at(folder).write_bytes(MIX, canonical_json({"schema": _SCHEMA, "paths": paths}, indent=2))


def _open(path: DataPath) -> Dataset:
    dataset = open_dataset(path)
    for error in dataset.ignored:
        _log.warning("left out: %s", error)
    return dataset


def _parse(data: bytes, home: Store, label: str) -> tuple[MixEntry, ...]:
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
    return tuple(_entry(entry, home, label) for entry in entries)


def _entry(entry: object, home: Store, label: str) -> MixEntry:
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
    return MixEntry(path, float(weight), store)
