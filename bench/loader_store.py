"""Streaming from an object store that is slow in a known way: through a cache, and without."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from shards.files.storage import Store
from shards.stream import ClipLoader, ClipStream

__all__ = ["report_store"]

LATENCY = 0.03  # seconds before a request is answered
BANDWIDTH = 40e6  # bytes a second of one request
STEP = 0.02  # seconds of training for a batch: what downloads may hide behind
WINDOW = 2  # shards, of eight: three more windows follow the first


class SlowStore(MemoryFileSystem):
    """fsspec's store in memory, as far away as an object store. Forked workers have it too."""

    protocol = "slow"

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        data = super().cat_file(path, start, end, **options)
        time.sleep(LATENCY + len(data) / BANDWIDTH)
        return data

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if mode != "rb":
            return file
        time.sleep(LATENCY)
        return _SlowFile(file)


class _SlowFile:
    """Only what downloading asks of a file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> _SlowFile:
        return self

    def __exit__(self, *_: object) -> None:
        pass  # the store in memory keeps the file itself

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        time.sleep(len(data) / BANDWIDTH)
        return data


def report_store(folder: Path, clips: int) -> None:
    """Print seconds for an epoch of training on the dataset in a folder, moved to a slow store."""
    store = Store(SlowStore(), "/bucket")
    for path in folder.rglob("*"):
        if path.is_file():
            store.fs.pipe_file(f"{store.root}/{path.relative_to(folder)}", path.read_bytes())
    print(
        f"{clips} clips from a store that answers after {LATENCY * 1e3:.0f} ms and sends "
        f"{BANDWIDTH / 1e6:.0f} MB/s; a step takes {STEP * 1e3:.0f} ms; seconds for an epoch"
    )
    columns = ("by ranges", "cold, as read", "cold, ahead", "warm")
    print(f"{'workers':>8}" + "".join(f"{column:>15}" for column in columns))
    for workers in (0, 1, 2):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            seconds = (
                _epoch(store, None, workers),
                _epoch(store, one, workers, ahead=False),
                _epoch(store, two, workers),
                _epoch(store, two, workers),
            )
        print(f"{workers:8}" + "".join(f"{s:15.2f}" for s in seconds))
    print()


def _epoch(store: Store, cache: str | None, workers: int, *, ahead: bool = True) -> float:
    stream = ClipStream(store, frames=8, cache=cache, window=WINDOW)
    if not ahead:
        stream._prefetcher = None  # no option of the stream: only to compare
    begin = time.perf_counter()
    for _ in ClipLoader(stream, 4, workers=workers):
        time.sleep(STEP)
    return time.perf_counter() - begin
