"""What each command of `idol-shards` prints: tables for people, `--json` for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import track as rich_track

from shards.errors import ShardsError, StorageError
from shards.files.storage import Store
from shards.inspect import tables
from shards.inspect.console import QuietConsole, native_errors_hidden
from shards.inspect.extract import extract_sample
from shards.inspect.stats import dataset_stats
from shards.inspect.verify import verify as find_faults
from shards.reader import open_dataset, read_sample

__all__ = ["extract", "ls", "show", "stats", "verify"]


def ls(path: str, *, as_json: bool) -> int:
    dataset = open_dataset(path)
    if as_json:
        return _print_json(
            {
                "path": dataset.url,
                "dataset": dataset.info and dataset.info.as_json(),
                "shards": [{"tar": s.name, **asdict(s.manifest)} for s in dataset.shards],
                "ignored": [str(error) for error in dataset.ignored],
            }
        )
    return tables.print_all(tables.dataset_tables(dataset))


def show(path: str, key: str, output: Path | None, *, as_json: bool) -> int:
    from shards.inspect.sheet import contact_sheet
    from shards.sample.codec import decode_clip

    if output and output.suffix.lower() != ".png":
        raise ShardsError(f"{output}: the picture is a PNG; name it {output.stem}.png")
    dataset = open_dataset(path)
    entry = dataset.find(key or next(iter(dataset.entries), ""))
    target = Path(output or f"{entry.key}.png").expanduser()
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: there is no folder {target.parent}; make it")
    with native_errors_hidden():
        clip = decode_clip(read_sample(entry))
    picture = contact_sheet(clip, source=entry.shard.name)
    Store.at(target.parent).write_bytes(target.name, picture)
    if as_json:
        return _print_json({"key": entry.key, "shard": entry.shard.url, "picture": str(target)})
    return tables.print_all([f"{entry.key}: {target}"])


def stats(path: str, *, as_json: bool) -> int:
    dataset = open_dataset(path)
    with native_errors_hidden():
        numbers = dataset_stats(dataset, track=_progress("reading clips"))
    if as_json:
        return _print_json(numbers)
    return tables.print_all(tables.stats_tables(numbers))


def verify(path: str, *, as_json: bool) -> int:
    with native_errors_hidden():
        faults = list(find_faults(path, track=_progress("checking shards")))
    if as_json:
        _print_json({"path": Store.at(path).url(), "faults": [asdict(fault) for fault in faults]})
    else:
        tables.print_all(tables.fault_tables(Store.at(path).url(), faults))
    return 1 if faults else 0


def extract(path: str, key: str, folder: Path, *, force: bool, as_json: bool) -> int:
    entry = open_dataset(path).find(key)
    paths = extract_sample(entry, folder, force=force)
    if as_json:
        return _print_json({"key": entry.key, "files": [str(path) for path in paths]})
    return tables.print_all([f"{entry.key}: {len(paths)} files in {folder}"])


def _progress(what: str) -> Callable[[list[Any]], Iterable[Any]]:
    console = QuietConsole(stderr=True)
    return lambda items: rich_track(
        items, what, console=console, transient=True, disable=not console.is_terminal
    )


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2))
    return 0
