"""A process opens its datasets once: requests to an object store are counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from idol.data.datasets import open_datasets
from idol.train.train import train
from shards.collected import COLLECTED
from shards.dataset import open_for_build
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.idol.train.micro import clip, losses_of, micro


class CountingFileSystem(MemoryFileSystem):
    """An object store that notes what it is asked for: (verb, path)."""

    protocol = "counted"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    requests: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(str(path).removeprefix("counted://"))

    def info(self, path: str, **options: Any) -> Any:
        self.requests.append(("info", path))
        return super().info(path, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        self.requests.append(("list", path))
        return super().ls(path, detail=detail, **options)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        self.requests.append(("read", path))
        path = self._strip_protocol(path)
        if path not in self.store:
            raise FileNotFoundError(path)
        data: bytes = self.store[path].getvalue()
        return data[start:end]


@pytest.fixture(scope="module", autouse=True)
def mixture(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`counted://mix` of datasets with four and two shards to train on, and one held out each."""
    root = tmp_path_factory.mktemp("counted")
    for name, shards in (("one", 4), ("two", 2)):
        build = open_for_build(root / name, {})
        for number in range(shards):
            some = [clip(10 * number + i) for i in range(2)]
            _commit(root / name, "train", number, some)
        _commit(root / name, "val", 0, [clip(90), clip(91)])
        build.finish({"train": shards, "val": 1})
    paths = [{"path": f"counted://{name}", "weight": 1} for name in ("one", "two")]
    (root / "mix").mkdir()
    (root / "mix/mix.json").write_text(json.dumps({"schema": 1, "paths": paths}))
    fsspec.register_implementation("counted", CountingFileSystem, clobber=True)
    CountingFileSystem().put(f"{root}/", "/", recursive=True)


@pytest.fixture
def requests() -> list[tuple[str, str]]:
    CountingFileSystem.requests.clear()
    return CountingFileSystem.requests


def _commit(root: Path, split: str, number: int, clips: list[Any]) -> None:
    commit_shard(root, split, number, [(c.key, encode_clip(c)) for c in clips])


@pytest.fixture
def without_the_collection() -> Iterator[None]:
    """Somebody has removed it: manifests lie beside their shards alone."""
    store = CountingFileSystem.store
    taken = {path: store.pop(path) for path in (f"/one/{COLLECTED}", f"/two/{COLLECTED}")}
    yield
    store.update(taken)


def _reads_of_a_run(requests: list[tuple[str, str]], output: Path) -> Counter[str]:
    seen = {"validate_every": 1, "validation_clips": 2, "sample_every": 1, "sample_steps": 1}
    config = micro("video", "counted://mix", output, steps=3, **seen)
    train(config)
    assert len(losses_of(config.output)) == 3
    assert len((config.output / "validation.jsonl").read_text().splitlines()) == 3
    read = Counter(path for verb, path in requests if verb == "read")
    return Counter({path: n for path, n in read.items() if not path.endswith(".tar")})


INFOS = {"/mix/mix.json", "/one/dataset.json", "/two/dataset.json"}


def test_a_run_reads_what_is_collected_once(
    requests: list[tuple[str, str]], tmp_path: Path
) -> None:
    read = _reads_of_a_run(requests, tmp_path / "run")
    assert read == dict.fromkeys(INFOS | {f"/one/{COLLECTED}", f"/two/{COLLECTED}"}, 1)


def test_a_run_reads_each_manifest_once(
    requests: list[tuple[str, str]], without_the_collection: None, tmp_path: Path
) -> None:
    read = _reads_of_a_run(requests, tmp_path / "run")
    manifests = {f"/one/train/shard-{n:05d}.json" for n in range(4)}
    manifests |= {f"/two/train/shard-{n:05d}.json" for n in range(2)}
    manifests |= {f"/{name}/val/shard-00000.json" for name in ("one", "two")}
    looked_for = {f"/one/{COLLECTED}", f"/two/{COLLECTED}"}
    assert read == dict.fromkeys(manifests | INFOS | looked_for, 1)


def test_opening_takes_the_same_requests_for_any_number_of_shards(
    requests: list[tuple[str, str]], tmp_path: Path
) -> None:
    counts = []
    for name in ("one", "two"):
        open_datasets(micro("video", f"counted://{name}", tmp_path))
        counts.append(len(requests))
        requests.clear()
    assert counts == [7, 7]


def test_opening_without_it_takes_one_request_a_shard(
    requests: list[tuple[str, str]], without_the_collection: None, tmp_path: Path
) -> None:
    """And one more for each split, whose listing has the sizes of its tars, and five."""
    open_datasets(micro("video", "counted://one", tmp_path))
    assert len(requests) == 5 + 2 + 5
