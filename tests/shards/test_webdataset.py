"""Clips in pipelines of webdataset: once each, whole or not at all."""

from __future__ import annotations

import contextlib
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import webdataset as wds  # noqa: E402

from shards.errors import BadSample, BadTar, NotADataset  # noqa: E402
from shards.mix import write_mix  # noqa: E402
from shards.reader import open_dataset  # noqa: E402
from shards.sample.codec import encode_clip  # noqa: E402
from shards.stream import ClipStream  # noqa: E402
from shards.webdataset import clips  # noqa: E402
from shards.writer import commit_shard  # noqa: E402

Make = Callable[..., Any]


@pytest.fixture
def many(tmp_path: Path, make_clip: Make) -> Path:
    """23 clips in three shards, one of them with a single clip."""
    root = tmp_path / "many"
    keys = [f"videos-walk-{i}" for i in range(23)]
    for index, part in enumerate((keys[:12], keys[12:13], keys[13:])):
        commit_shard(root, "train", index, [(key, encode_clip(make_clip(key))) for key in part])
    return root


def keys(pipeline: Any) -> list[str]:
    return [sample["__key__"] for sample in pipeline]


def test_samples_are_the_clips_of_the_dataset(dataset: Path) -> None:
    opened = open_dataset(dataset)
    seen = set()
    for sample in clips(opened, split="train"):
        clip = opened.read(sample["__key__"])
        seen.add(clip.key)
        assert sample["json"] == clip.info
        assert sample["__url__"] == opened.find(clip.key).shard.url
        names = {name for name in sample if not name.startswith("__")} - {"json"}
        assert names == set(clip.modalities)
        for name in names:
            np.testing.assert_array_equal(sample[name], getattr(clip, name))
    assert seen == set(opened.entries)


def test_what_else_a_tar_holds_is_left_out(tmp_path: Path, make_clip: Make) -> None:
    clip = make_clip("videos-walk-0")
    members = [*encode_clip(clip), (f"{clip.key}.txt", b"a walk")]
    commit_shard(tmp_path, "train", 0, [(clip.key, members)])
    [sample] = clips(tmp_path)
    assert {name for name in sample if not name.startswith("__")} == {"json", *clip.modalities}


def test_modalities_and_frames_may_be_chosen(dataset: Path) -> None:
    for sample in clips(dataset, split="train", modalities=["pose"], frames=2):
        assert sample.keys() == {"__key__", "__url__", "json", "rgb", "pose"}
        assert len(sample["rgb"]) == len(sample["pose"]) == 2
    with pytest.raises(NotADataset, match="none of 4 clips has 99 frames"):
        clips(dataset, split="train", frames=99)
    for none in (0, -1):
        with pytest.raises(ValueError, match=f"frames must be at least 1, not {none}"):
            clips(dataset, split="train", frames=none)
    with pytest.raises(BadSample, match="has no normals"):
        clips(dataset, split="train", modalities=["normals"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_webloader_gives_batches_of_each_clip_once(many: Path, workers: int) -> None:
    pipeline = clips(many, modalities=["mask"]).to_tuple("__key__", "rgb", "mask").batched(4)
    loader = wds.WebLoader(pipeline, batch_size=None, num_workers=workers)
    for _ in range(2):
        got: list[str] = []
        for names, rgb, mask in loader:
            assert rgb.shape == (len(names), 3, 24, 32, 3)
            assert mask.shape == (len(names), 3, 24, 32)
            assert rgb.dtype == mask.dtype == torch.uint8
            got += names
        assert sorted(got) == sorted(open_dataset(many).entries)


@pytest.mark.parametrize(("nodes", "workers"), [(1, 1), (2, 1), (3, 2), (5, 7)])
def test_nodes_and_workers_share_an_epoch(
    many: Path, monkeypatch: pytest.MonkeyPatch, nodes: int, workers: int
) -> None:
    parts = []
    for rank in range(nodes):
        for worker in range(workers):
            turn = {"RANK": rank, "WORLD_SIZE": nodes, "WORKER": worker, "NUM_WORKERS": workers}
            for name, value in turn.items():
                monkeypatch.setenv(name, str(value))
            parts.append(keys(clips(many, modalities=[])))
    assert sorted(key for part in parts for key in part) == sorted(open_dataset(many).entries)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_webdatasets_own_reading_finds_the_same_samples(many: Path) -> None:
    tars = sorted(str(path) for path in many.glob("train/*.tar"))
    theirs = keys(wds.WebDataset(tars, shardshuffle=False))
    assert keys(clips(many, modalities=[], shuffle=False)) == theirs


def test_epochs_are_shuffled_by_seed_and_number(many: Path) -> None:
    pipeline = clips(many, modalities=[], seed=3)
    first, second = keys(pipeline), keys(pipeline)
    assert first != second
    assert sorted(first) == sorted(second)
    pipeline.set_epoch(0)
    assert keys(pipeline.map(lambda sample: sample)) == first
    assert keys(clips(many, modalities=[], seed=4)) != first
    assert first == [sample.key for sample in ClipStream(many, frames=1, seed=3).samples()]
    assert len(keys(clips(many, modalities=[]).with_epoch(50))) == 50


def test_new_workers_take_the_epoch_that_was_set(many: Path) -> None:
    loaded = []
    pipeline = clips(many, modalities=[])
    loader = wds.WebLoader(pipeline.to_tuple("__key__"), batch_size=None, num_workers=1)
    for epoch in (0, 1, 0):
        pipeline.set_epoch(epoch)
        loaded.append([key for (key,) in loader])
    assert loaded[0] != loaded[1]
    assert loaded[0] == loaded[2]


@pytest.mark.parametrize("cut", [700, 4000, 20_000, "header"])
def test_a_damaged_clip_is_an_error_or_left_out_and_never_half_a_clip(
    many: Path, cut: int | str
) -> None:
    entry = open_dataset(many).find("videos-walk-20")
    tar = many / entry.shard.name
    opened = open_dataset(many)  # before the damage, as a training that runs already
    with tar.open("r+b") as file:
        if isinstance(cut, int):
            file.truncate(entry.sample.offset + cut)
        else:
            file.seek(entry.sample.offset)
            file.write(b"garbage!" * 50)
    lost = {"videos-walk-20"} | ({"videos-walk-21", "videos-walk-22"} if cut != "header" else set())
    with pytest.raises((BadSample, BadTar), match=rf"{tar}: sample videos-walk-2\d: "):
        list(clips(opened))
    told: list[str] = []

    def note(error: Exception) -> bool:
        told.append(str(error))
        return True

    whole = {key: opened.entries[key].sample.frames for key in opened.entries.keys() - lost}
    assert {s["__key__"]: len(s["rgb"]) for s in clips(opened, handler=note)} == whole
    assert {line.partition(": sample ")[2].partition(":")[0] for line in told} == lost
    with pytest.warns(UserWarning, match=r"sample videos-walk-2\d"):
        assert set(keys(clips(opened, handler=wds.warn_and_continue))) == set(whole)


def test_nothing_is_unpickled_and_nothing_run(tmp_path: Path, make_clip: Make) -> None:
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (touched,)

    members = encode_clip(make_clip("videos-walk-0"))
    members += [(f"videos-walk-0.{name}", pickle.dumps(Evil())) for name in ("pyd", "pickle")]
    tar = tmp_path / "theirs.tar"
    with tarfile.open(tar, "w") as file:
        for name, data in sorted(members):
            path = tmp_path / "member"
            path.write_bytes(data)
            file.add(path, name)
    with contextlib.suppress(BadSample):  # it may refuse such a clip
        list(clips(tar, modalities=["mask"]))
    assert not touched.exists()
    with pytest.raises(NotADataset):
        clips(f"pipe:touch {touched}")
    assert not touched.exists()


def test_from_an_object_store_through_a_cache(
    many: Path, tmp_path: Path, memory_url: str, make_clip: Make
) -> None:
    for index in range(2):
        key = f"videos-walk-{index}"
        commit_shard(memory_url, "train", index, [(key, encode_clip(make_clip(key)))])
    for cache in (None, tmp_path / "cache"):
        assert len(keys(clips(memory_url, cache=cache))) == 2
    assert len(list((tmp_path / "cache").glob("*.tar"))) == 2


def test_mixtures_with_weights_are_for_the_stream(many: Path, tmp_path: Path) -> None:
    shutil.copytree(many, tmp_path / "other")
    assert len(keys(clips([many, tmp_path / "other"], modalities=[]))) == 46
    write_mix(tmp_path, {"many": 1, "other": 2})
    with pytest.raises(ValueError, match="stream it by ClipStream"):
        clips(tmp_path)
