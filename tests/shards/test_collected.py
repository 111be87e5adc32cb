"""A dataset in an object store is opened with few requests, however many shards it has."""

from __future__ import annotations

import gzip
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shards.collected import COLLECTED
from shards.dataset import open_for_build
from shards.files.storage import Store
from shards.reader import Dataset, open_dataset
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.s3 import bucket, s3_server  # noqa: F401


def upload(root: Path, url: str) -> Store:
    store = Store.at(url)
    files = [path for path in root.rglob("*") if path.is_file()]
    store.fs.pipe({f"{store.root}/{p.relative_to(root)}": p.read_bytes() for p in files})
    return store


def opened(url: str, caplog: pytest.LogCaptureFixture) -> tuple[Dataset, Counter[str]]:
    """The dataset, and the requests that opening it took, by kind."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "s3fs"):
        dataset = open_dataset(url)
    calls = [r.args[0] for r in caplog.records if r.msg.startswith("CALL:") and r.args]
    return dataset, Counter(str(call) for call in calls)


def shards_of(count: int, root: Path, make_clip: Callable[..., object]) -> None:
    build = open_for_build(root, {"size": 32})
    clip = make_clip("videos-walk-0", seed=0)
    splits = {"train": count - count // 8, "val": count // 8}
    for split, shards in splits.items():
        for index in range(shards):
            clips = [("videos-walk-0", encode_clip(clip))] if (split, index) == ("train", 0) else []
            commit_shard(root, split, index, clips, fingerprint=build.info.fingerprint)
    build.finish(splits)


@pytest.mark.parametrize("count", [8, pytest.param(1000, marks=pytest.mark.slow)])
def test_opening_takes_ten_requests_for_a_thousand_shards(
    count: int,
    tmp_path: Path,
    bucket: str,  # noqa: F811
    make_clip: Callable[..., object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shards_of(count, tmp_path / "out", make_clip)
    upload(tmp_path / "out", f"{bucket}/out")
    dataset, requests = opened(f"{bucket}/out", caplog)
    assert [s.manifest for s in dataset.shards] == [
        s.manifest for s in open_dataset(tmp_path / "out").shards
    ]
    assert requests["get_object"] == 2  # dataset.json, manifests.gz
    # And whether it is a file, a listing of the dataset and of each split, a page of 1,000 files.
    assert requests.total() <= 10


def test_manifests_that_are_not_as_collected_are_asked_for(
    dataset: Path,
    bucket: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = upload(dataset, f"{bucket}/out")
    local = open_dataset(dataset)
    # A shard that was taken out by hand, one whose manifest was written again.
    changed = json.dumps(json.loads((dataset / "train/shard-00000.json").read_bytes()))
    store.write_bytes("train/shard-00000.json", changed.encode())
    store.remove("train/shard-00001.tar")
    found, requests = opened(f"{bucket}/out", caplog)
    assert [s.name for s in found.shards] == ["train/shard-00000.tar", "val/shard-00000.tar"]
    assert found.shards[0].manifest == local.shards[0].manifest
    assert "shard-00001.tar: is missing" in str(found.ignored[0])
    assert requests["get_object"] == 3


@pytest.mark.parametrize(
    "damage", [b"", b"\x1f\x8bnothing", gzip.compress(b"[1]\n{}\n"), gzip.compress(bytes(1 << 24))]
)
def test_without_a_whole_file_each_manifest_is_asked_for(
    dataset: Path,
    bucket: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    damage: bytes,
) -> None:
    store = upload(dataset, f"{bucket}/out")
    store.write_bytes(COLLECTED, damage)
    found, requests = opened(f"{bucket}/out", caplog)
    assert [s.manifest for s in found.shards] == [s.manifest for s in open_dataset(dataset).shards]
    assert requests["get_object"] == 2 + 3


def test_while_it_is_being_built_nothing_is_taken_from_before(
    dataset: Path,
    bucket: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    upload(dataset, f"{bucket}/out")
    open_for_build(f"{bucket}/out", {"size": 32})
    found, requests = opened(f"{bucket}/out", caplog)
    assert len(found.shards) == 3
    assert requests["get_object"] == 1 + 3
