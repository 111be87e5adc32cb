"""The contenders of `bench/loader.py`: the same clips in each one's format, the same decoder.

Each contender has a function that writes the clips and one that makes a loader of batches from
them. Every loader gives a batch of uint8 tensors (clips, frames, H, W[, 3]) by modality, from the
same decoder into the same kind of arrays: what differs is how bytes get from disk to decoder, and
arrays from worker to trainer.
"""

from __future__ import annotations

import os

os.environ.update(WDS_SECURE="1", HF_HUB_OFFLINE="1", DO_NOT_TRACK="1")

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from shards.reader import open_dataset, read_sample
from shards.sample.codec import encode_clip
from shards.sample.images import decode_into
from shards.stream import ClipBatch, ClipLoader, ClipStream, to_tensors
from shards.writer import commit_shard

Sample = dict[str, bytes]  # members by suffix, `rgb.000.jpg`

SHARDS = 8
BATCH = 4


@dataclass(frozen=True)
class Contender:
    """`write(folder, samples)` once, then `load(folder, workers)`: batches of one pass.

    One that does not write reads our tars.
    """

    name: str
    load: Callable[[Path, int], Iterable[Any]]
    write: Callable[[Path, dict[str, Sample]], None] | None = None
    package: str = "torch"


Arrays = dict[str, np.ndarray]


def decode(sample: Mapping[str, Any], arrays: Arrays | None = None) -> Arrays:
    """The arrays of a sample's images, (T, 256, 256[, 3]) uint8 by modality; new unless given."""
    arrays = {} if arrays is None else arrays
    names = sorted(name for name in sample if name.count(".") == 2)
    frames = sum(name.startswith("rgb.") for name in names)
    for name in names:
        modality, frame, _ = name.split(".")
        if modality not in arrays:
            shape = (frames, 256, 256) if modality == "mask" else (frames, 256, 256, 3)
            arrays[modality] = np.empty(shape, np.uint8)
        decode_into(arrays[modality][int(frame)], memoryview(sample[name]), name)
    return arrays


def _write_ours(folder: Path, clips: dict[str, Any]) -> None:
    names = list(clips)
    for shard in range(SHARDS):
        encoded = ((key, encode_clip(clips[key])) for key in names[shard::SHARDS])
        commit_shard(folder, "train", shard, encoded)


def read_samples(folder: Path) -> dict[str, Sample]:
    """What our shards hold, for the others to write in their way: the same bytes."""
    entries = open_dataset(folder).entries
    return {
        key: {name.partition(".")[2]: data for name, data in read_sample(entry)}
        for key, entry in entries.items()
    }


def _load_ours(folder: Path, workers: int) -> Iterable[Any]:
    return ClipLoader(ClipStream(folder, frames=_frames(folder)), BATCH, workers=workers)


class _InTurns(IterableDataset):
    """Our stream for torch's DataLoader, whose workers are processes: a rank for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[ClipBatch]:
        info = get_worker_info()
        rank, world_size = (0, 1) if info is None else (info.id, info.num_workers)
        turns: dict[str, int] = {"rank": rank, "world_size": world_size}
        stream = ClipStream(self._folder, frames=_frames(self._folder), **turns)
        yield from stream.batches(BATCH)


def _load_in_turns(folder: Path, workers: int) -> Iterable[Any]:
    return DataLoader(_InTurns(folder), batch_size=None, num_workers=workers, collate_fn=to_tensors)


def _frames(folder: Path) -> int:
    return next(iter(open_dataset(folder).entries.values())).sample.frames


def _load_webdataset(folder: Path, workers: int) -> Iterable[Any]:
    import webdataset

    urls = sorted(str(path) for path in folder.glob("train/*.tar"))
    dataset = webdataset.WebDataset(urls, shardshuffle=SHARDS, seed=0).shuffle(64).map(decode)
    return DataLoader(dataset, batch_size=BATCH, num_workers=workers)


def _write_litdata(folder: Path, samples: dict[str, Sample]) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes="16MB")
    for index, sample in enumerate(samples.values()):
        writer.add_item(index, sample)
    writer.done()
    writer.merge()


def _load_litdata(folder: Path, workers: int) -> Iterable[Any]:
    import litdata

    class Decoded(litdata.StreamingDataset):
        def __getitem__(self, index: Any) -> Any:
            return decode(super().__getitem__(index))

    dataset = Decoded(str(folder), shuffle=True, seed=0)
    return litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=workers)


def _write_mosaic(folder: Path, samples: dict[str, Sample]) -> None:
    from streaming import MDSWriter

    columns = dict.fromkeys(next(iter(samples.values())), "bytes")
    with MDSWriter(out=str(folder), columns=columns, size_limit=2**24) as writer:
        for sample in samples.values():
            writer.write(sample)


def _load_mosaic(folder: Path, workers: int) -> Iterable[Any]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Decoded(StreamingDataset):
        def __getitem__(self, index: Any) -> Any:
            return decode(super().__getitem__(index))

    clean_stale_shared_memory()
    dataset = Decoded(local=str(folder), shuffle=True, batch_size=BATCH)
    return DataLoader(dataset, batch_size=BATCH, num_workers=workers)


PEERS = (
    Contender("ours, DataLoader", _load_in_turns),
    Contender("webdataset", _load_webdataset, package="webdataset"),
    Contender("litdata", _load_litdata, _write_litdata, "litdata"),
    Contender("mosaicml-streaming", _load_mosaic, _write_mosaic, "streaming"),
)
OURS = Contender("ours", _load_ours, _write_ours)


def raw_seconds(samples: Iterable[Sample], workers: int) -> float:
    """Seconds that decoding takes, from bytes in memory into arrays that are there: the bound.

    As many processes decode as the loaders have workers, one for none of them; of several each
    has its part of the samples, and the slowest counts, from the moment that all have started.
    """
    rows = list(samples)
    if workers < 2:
        return _decode_all(rows)
    context = multiprocessing.get_context("fork")
    gate, times = context.Barrier(workers), context.SimpleQueue()

    def work(part: list[Sample]) -> None:
        gate.wait()
        times.put(_decode_all(part))

    processes = [context.Process(target=work, args=(rows[i::workers],)) for i in range(workers)]
    for process in processes:
        process.start()
    seconds = max(times.get() for _ in processes)
    for process in processes:
        process.join()
    return seconds


def _decode_all(samples: list[Sample]) -> float:
    # A batch's arrays, used over and over: no page of them is new after the first.
    batch = [decode(sample) for sample in samples[:BATCH]]
    begin = time.perf_counter()
    for number, sample in enumerate(samples):
        decode(sample, batch[number % BATCH])
    return time.perf_counter() - begin
