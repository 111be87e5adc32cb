from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset

from shards.errors import BadTar, NotADataset, UnknownKey, UnsafeMember
from shards.manifest import Quarantined
from shards.mix import open_mixture
from shards.reader import open_dataset, read_sample
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.writer import commit_shard

# webdataset leaves the tars it read to the garbage collector to close.
LEAKS = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
KEYS = ["videos-walk-0", "videos-walk-16", "videos-walk-32", "videos-walk-48"]


def test_any_clip_is_read_by_its_key(dataset: Path, make_clip: Callable[..., Clip]) -> None:
    opened = open_dataset(dataset)
    assert opened.splits == ("train", "val")
    assert list(opened.entries) == KEYS
    clip = opened.read("videos-walk-48")
    np.testing.assert_array_equal(clip.mask, make_clip("videos-walk-48", seed=48).mask)
    assert [clip.key for clip in opened.clips(modalities=["rgb"])] == KEYS


def test_an_object_store_is_read_the_same(
    memory_url: str, build: Callable[[str], None], dataset: Path
) -> None:
    build(memory_url)
    remote, local = open_dataset(memory_url), open_dataset(dataset)
    for key in KEYS:
        assert read_sample(remote.find(key)) == read_sample(local.find(key))


def test_a_split_or_a_tar_can_be_opened(dataset: Path) -> None:
    assert list(open_dataset(dataset / "train").entries) == KEYS
    one = open_dataset(dataset / "train/shard-00001.tar")
    assert list(one.entries) == KEYS[2:]
    (dataset / "train/shard-00001.json").unlink()
    scanned = open_dataset(dataset / "train/shard-00001.tar")
    assert [e.sample for e in scanned.entries.values()] == [e.sample for e in one.entries.values()]


def test_a_key_of_two_shards_is_not_dropped_silently(
    dataset: Path, make_clip: Callable[..., Clip]
) -> None:
    clip = make_clip(KEYS[1])
    commit_shard(dataset, "train", 2, [(clip.key, encode_clip(clip))])
    said = rf"{KEYS[1]} is in train/shard-00000\.tar and in train/shard-00002\.tar"
    opened = open_dataset(dataset)
    for read in (lambda: opened.entries, lambda: opened.find(KEYS[0]), lambda: [*opened.clips()]):
        with pytest.raises(NotADataset, match=said):
            read()


def test_shards_that_do_not_exist_are_ignored_and_named(dataset: Path) -> None:
    (dataset / "train/shard-00000.json").write_bytes(b"{}")
    opened = open_dataset(dataset)
    assert list(opened.entries) == KEYS[2:]
    assert "train/shard-00000.json" in str(opened.ignored[0])


def test_what_a_copy_of_a_complete_dataset_lacks_is_named(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for extension in ("tar", "json"):
        (dataset / f"train/shard-00001.{extension}").unlink()
    (missing,) = open_dataset(dataset).ignored
    assert "train/shard-00001.tar is missing, and so is its manifest" in str(missing)
    (opened,) = open_mixture(dataset).datasets
    assert list(opened.entries) == KEYS[:2]
    assert f"left out: {missing}" in caplog.text
    info = json.loads((dataset / "dataset.json").read_bytes())
    info["totals"]["splits"]["train"]["shards"] = 10**12  # as many as a number may claim
    (dataset / "dataset.json").write_text(json.dumps(info))
    assert len(open_dataset(dataset).ignored) == 1000


def test_keys_may_be_cut_short_if_only_one_fits(dataset: Path) -> None:
    opened = open_dataset(dataset)
    assert opened.find("videos-walk-3").key == "videos-walk-32"
    with pytest.raises(UnknownKey, match="4 keys begin"):
        opened.find("videos")
    with pytest.raises(UnknownKey, match=r"did you mean .*videos-walk-48"):
        opened.find("video-walk-48")


def test_the_key_of_a_quarantined_clip_is_not_the_beginning_of_another(dataset: Path) -> None:
    opened = open_dataset(dataset)
    first = opened.shards[0]
    failed = Quarantined("videos-walk-3", "walk", "nobody in view")
    manifest = replace(first.manifest, quarantined=(failed,))
    opened = replace(opened, shards=(replace(first, manifest=manifest), *opened.shards[1:]))
    with pytest.raises(UnknownKey, match="videos-walk-3 was quarantined: nobody in view"):
        opened.find("videos-walk-3")
    assert opened.find("videos-walk-32").key == "videos-walk-32"


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NotADataset, match="empty or absent"):
            open_dataset(path)
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(NotADataset, match="holds no"):
        open_dataset(tmp_path)
    with pytest.raises(NotADataset, match=r"no \.tar"):
        open_dataset(tmp_path / "a.zip")
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(NotADataset, match=r"a\.tar\.gz: is compressed: unpack it first"):
        open_dataset(tmp_path / "a.tar.gz")


@LEAKS
def test_plain_webdataset_reads_the_shards(dataset: Path) -> None:
    urls = [str(path) for path in sorted(dataset.rglob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in samples] == KEYS
    for sample in samples:
        ours = dict(read_sample(open_dataset(dataset).find(sample["__key__"])))
        theirs = {f"{sample['__key__']}.{k}": v for k, v in sample.items() if k[0] != "_"}
        assert theirs == ours


@LEAKS
def test_webdataset_decodes_the_members(dataset: Path) -> None:
    url = str(dataset / "train/shard-00000.tar")
    sample = next(iter(webdataset.WebDataset(url, shardshuffle=False).decode("rgb8")))
    assert sample["rgb.000.jpg"].shape == (24, 32, 3)
    assert sample["keypoints.npy"].shape == (3, 1, 18, 3)
    assert sample["json"]["key"] == "videos-walk-0"


def test_tars_of_others_are_listed(tmp_path: Path) -> None:
    with (tmp_path / "theirs.tar").open("wb") as file, webdataset.TarWriter(file) as writer:
        writer.write({"__key__": "cat", "txt": "a cat", "cls": 3})
        writer.write({"__key__": "dog", "txt": "a dog"})
    opened = open_dataset(tmp_path / "theirs.tar")
    assert list(opened.entries) == ["cat", "dog"]
    assert set(opened.entries["cat"].sample.sizes) == {"cls", "txt"}


def test_numbers_of_others_that_are_not_finite_count_as_not_said(tmp_path: Path) -> None:
    said = b'{"fps": NaN, "person_frames": [1e999], "keypoints": {"mean_score": [1e308, 1e308]}}'
    with (tmp_path / "theirs.tar").open("wb") as file, webdataset.TarWriter(file) as writer:
        writer.write({"__key__": "cat", "json": said})
    [entry] = open_dataset(tmp_path / "theirs.tar").entries.values()
    sample = entry.sample
    assert (sample.fps, sample.person_coverage, sample.keypoint_score) == (None, None, None)


def test_a_tar_with_a_hostile_member_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for name in ("k.json", "../../k.txt"):
            info = tarfile.TarInfo(name)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(UnsafeMember, match=r"evil\.tar: member '\.\./\.\./k\.txt'"):
        open_dataset(tmp_path / "evil.tar")
    (tmp_path / "bad.tar").write_bytes(b"x" * 3000)
    with pytest.raises(BadTar, match=r"bad\.tar"):
        open_dataset(tmp_path / "bad.tar")
