from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from shards.errors import BadManifest, BadSample
from shards.files.storage import Store
from shards.files.tars import read_members
from shards.manifest import (
    Manifest,
    Quarantined,
    find_manifest,
    load_manifest,
    load_manifests,
    parse_manifest,
)
from shards.sample.clip import Clip
from shards.sample.codec import Members, encode_clip
from shards.writer import commit_shard

MakeClip = Callable[..., Clip]


@pytest.fixture
def samples(make_clip: MakeClip) -> list[tuple[str, Members]]:
    clips = [make_clip(f"videos-walk-{i}", seed=i) for i in (16, 0, 9)]
    return [(clip.key, encode_clip(clip)) for clip in clips]


def test_the_manifest_says_where_everything_is(tmp_path: Path, samples: list) -> None:
    quarantined = [Quarantined("videos-walk-32", "walk", "no person")]
    manifest = commit_shard(tmp_path, "train", 3, samples, quarantined)
    tar = (tmp_path / "train/shard-00003.tar").read_bytes()
    assert manifest.bytes == len(tar)
    assert manifest.sha256 == hashlib.sha256(tar).hexdigest()
    assert manifest.keys == ("videos-walk-16", "videos-walk-0", "videos-walk-9", "videos-walk-32")
    for sample, (_, members) in zip(manifest.samples, samples, strict=True):
        data = tar[sample.offset : sample.offset + sample.length]
        assert read_members(data, label="") == members
        assert sample.sizes["rgb"] == sum(len(d) for n, d in members if ".rgb." in n)
    first = manifest.samples[0]
    assert (first.frames, first.video, first.fps, first.width, first.height) == (
        *(3, "walk", 10.0),
        *(32, 24),
    )
    assert first.person_coverage == pytest.approx(2 / 3, abs=1e-6)
    assert first.keypoint_score == pytest.approx(0.6)  # of the frames that have one
    assert load_manifest(Store.at(tmp_path), "train", 3) == manifest


def test_a_disk_and_an_object_store_get_the_same_bytes(
    tmp_path: Path, memory_url: str, samples: list
) -> None:
    commit_shard(tmp_path, "train", 0, samples)
    commit_shard(memory_url, "train", 0, (s for s in samples))
    for name in ("train/shard-00000.tar", "train/shard-00000.json"):
        assert Store.at(memory_url).read(name) == (tmp_path / name).read_bytes()


def test_the_order_of_members_does_not_matter_that_of_samples_is_kept(
    tmp_path: Path, samples: list
) -> None:
    one = commit_shard(tmp_path, "a", 0, samples)
    two = commit_shard(tmp_path, "b", 0, [(key, members[::-1]) for key, members in samples])
    assert one.sha256 == two.sha256
    assert commit_shard(tmp_path, "c", 0, samples[::-1]).sha256 != one.sha256


def test_a_shard_whose_clips_all_failed_exists(tmp_path: Path) -> None:
    commit_shard(tmp_path, "train", 0, [], [Quarantined("k-a-0", "a", "corrupt")])
    manifest = load_manifest(Store.at(tmp_path), "train", 0)
    assert manifest.samples == ()
    assert manifest.quarantined[0].reason == "corrupt"


def test_a_failure_half_way_leaves_no_shard_and_no_litter(tmp_path: Path, samples: list) -> None:
    commit_shard(tmp_path, "train", 0, samples[:1])

    def failing() -> Iterator[tuple[str, Members]]:
        yield samples[0]
        # The old shard is no more: its manifest went before anything was written.
        assert find_manifest(Store.at(tmp_path), "train", 0) is None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit_shard(tmp_path, "train", 0, failing())
    assert [p.name for p in (tmp_path / "train").iterdir()] == ["shard-00000.tar"]  # the old one
    assert find_manifest(Store.at(tmp_path), "train", 0) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda json_file, tar: json_file.unlink(),
        lambda json_file, tar: json_file.write_bytes(json_file.read_bytes()[:-40]),
        lambda json_file, tar: json_file.write_bytes(b""),
        lambda json_file, tar: json_file.write_bytes(b"[]"),
        lambda json_file, tar: tar.unlink(),
        lambda json_file, tar: tar.write_bytes(tar.read_bytes()[:-512]),
        lambda json_file, tar: json_file.replace(json_file.with_name("shard-00007.json")),
    ],
)
def test_a_shard_without_a_valid_manifest_does_not_exist(
    tmp_path: Path, samples: list, damage: Callable[[Path, Path], object]
) -> None:
    commit_shard(tmp_path, "train", 0, samples)
    damage(tmp_path / "train/shard-00000.json", tmp_path / "train/shard-00000.tar")
    for index in (0, 7):
        assert find_manifest(Store.at(tmp_path), "train", index) is None
        with pytest.raises(BadManifest, match=f"shard-0000{index}"):
            load_manifest(Store.at(tmp_path), "train", index)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"schema": 99}, "upgrade"),
        ({"bytes": 1024}, "reach byte"),
        ({"bytes": 0, "samples": []}, "leaves none for its end"),
        ({"fingerprint": 7}, "fingerprint"),
        ({"sha256": None}, "sha256"),
        ({"index": True}, "index"),
        ({"samples": [{}]}, "sizes"),
    ],
)
def test_a_manifest_that_cannot_be_true_is_refused(
    tmp_path: Path, samples: list, change: dict, what: str
) -> None:
    commit_shard(tmp_path, "train", 0, samples)
    value = json.loads((tmp_path / "train/shard-00000.json").read_bytes())
    with pytest.raises(BadManifest, match=what):
        parse_manifest(json.dumps({**value, **change}).encode())


def test_the_recipe_of_a_shard_is_in_its_manifest_and_old_ones_have_none(tmp_path: Path) -> None:
    made = commit_shard(tmp_path, "train", 0, [], fingerprint="f" * 64)
    assert load_manifest(Store.at(tmp_path), "train", 0) == made
    assert made.fingerprint == "f" * 64
    value = json.loads((tmp_path / "train/shard-00000.json").read_bytes())
    del value["fingerprint"]
    assert parse_manifest(json.dumps(value).encode()).fingerprint is None


def test_manifests_are_read_by_one_request_each(
    tmp_path: Path, samples: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        commit_shard(tmp_path, "train", index, samples)
    (tmp_path / "train/shard-00001.tar").write_bytes(b"")
    asked = []
    for name in ("info", "ls", "cat_file", "_open"):
        method = getattr(LocalFileSystem, name)

        def counted(self, path, *args, name=name, method=method, **options):
            asked.append((name, Path(getattr(path, "path", path)).name))
            return method(self, path, *args, **options)

        monkeypatch.setattr(LocalFileSystem, name, counted)
    first, cut, absent = load_manifests(
        Store.at(tmp_path), [("train", 0), ("train", 1), ("train", 7)]
    )
    assert isinstance(first, Manifest)
    assert "has 0 bytes" in str(cut)
    assert "shard-00007.json is missing" in str(absent)
    assert sum(name == "ls" for name, _ in asked) == 1
    opened = [path for name, path in asked if name == "_open"]
    assert sorted(opened) == ["shard-00000.json", "shard-00001.json", "shard-00007.json"]


def test_wrong_samples_are_refused(tmp_path: Path, samples: list) -> None:
    (key, members), other = samples[0], samples[1]
    wrong = {
        "may hold only": ("a/b", members),
        "is not named": (other[0], members),
        "duplicate member name": (key, [*members, members[0]]),
    }
    for what, sample in wrong.items():
        with pytest.raises(ValueError, match=what):
            commit_shard(tmp_path, "train", 0, [sample])
    with pytest.raises(BadSample, match="no json"):
        commit_shard(tmp_path, "train", 0, [(key, [m for m in members if "json" not in m[0]])])
    with pytest.raises(ValueError, match="duplicate key"):
        commit_shard(tmp_path, "train", 0, [samples[0], samples[0]])
    assert find_manifest(Store.at(tmp_path), "train", 0) is None
