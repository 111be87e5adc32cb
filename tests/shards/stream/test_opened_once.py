"""What is opened is passed on: a manifest is read once, however many streams there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shards.files.storage import Store
from shards.mix import open_mixture, write_mix
from shards.reader import open_dataset
from shards.stream import ClipStream
from tests.shards.stream.test_latents import INFO, numbered


class CountingFileSystem(MemoryFileSystem):
    """fsspec's store in memory, and how often each file of it was read."""

    protocol = "counting"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    reads: ClassVar[Counter[str]] = Counter()

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        if path.endswith((".json", ".gz")):
            self.reads[path] += 1
        return super().cat_file(path, start, end, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb" and path.endswith(".json"):
            self.reads[path] += 1
        return super()._open(path, mode, **options)


@pytest.fixture
def home(tmp_path: Path, build_tiny: Callable[..., Path]) -> Iterator[Store]:
    """A mixture of datasets `a`, of two splits, and `b` on the counting store."""
    build_tiny(tmp_path / "a", (3, 4), name="a")
    build_tiny(tmp_path / "b", (5,), name="b")
    for root in ("a", "b"):
        numbered(tmp_path / root, names=["rgb"])
    write_mix(tmp_path, {"a": 3, "b": 1})
    store = Store(CountingFileSystem(), "/bucket")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            store.write_bytes(str(path.relative_to(tmp_path)), path.read_bytes())
    CountingFileSystem.reads.clear()
    yield store
    CountingFileSystem.store.clear()


def test_streams_of_an_opened_mixture_read_no_manifest_again(home: Store) -> None:
    mixture = open_mixture(home).with_latents(True)
    shards = [shard.name for dataset in mixture.datasets for shard in dataset.shards]
    assert len(shards) == 3
    for latents in (True, False, INFO.folder):
        stream = ClipStream(mixture, frames=1, latents=latents, endless=True)
        assert stream.epoch_size == 12
        next(stream.samples())
    ClipStream(mixture.having("train"), frames=1, latents=True)
    ClipStream(mixture.with_latents(INFO.folder), frames=1, latents=True)
    manifests = {path for path in CountingFileSystem.reads if "/shard-" in path}
    assert len(manifests) == 3  # of latents; those of images are in one file
    assert sum(path.endswith("/manifests.gz") for path in CountingFileSystem.reads) == 2
    assert set(CountingFileSystem.reads.values()) == {1}, CountingFileSystem.reads


def test_an_opened_dataset_streams_as_its_path_does(home: Store) -> None:
    dataset = open_dataset(home.folder("a"))
    options: dict[str, Any] = {"frames": 1}
    expected = [sample.key for sample in ClipStream(home.folder("a"), **options).samples()]
    CountingFileSystem.reads.clear()
    for data in (dataset, [dataset], open_mixture(dataset)):
        assert [sample.key for sample in ClipStream(data, **options).samples()] == expected
    assert not any("/train/" in path for path in CountingFileSystem.reads)
    both = [dataset, open_dataset(home.folder("b"))]
    reads = CountingFileSystem.reads
    reads.clear()
    weighted = ClipStream(both, frames=1, weights=(3, 1), endless=True)
    assert not reads
    mixed = ClipStream(home, frames=1, endless=True)
    for ours, theirs, _ in zip(weighted.samples(), mixed.samples(), range(40), strict=False):
        assert ours.key == theirs.key
