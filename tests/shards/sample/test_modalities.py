"""A modality is one row: all else follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.files.storage import Store
from shards.index import read_index
from shards.inspect.commands import stats
from shards.inspect.sheet import contact_sheet, rows_of_tiles
from shards.inspect.stats import dataset_stats
from shards.inspect.verify import verify
from shards.reader import open_dataset, read_sample
from shards.sample import drawing
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.encodings import COLOUR
from shards.sample.images import decode_image
from shards.sample.modalities import MODALITIES, Measure, Modality, Streamed
from shards.stream.clipstream import ClipStream
from shards.stream.loader import ClipLoader
from shards.writer import commit_shard

ROW = Modality(
    name="normals",
    encoding=COLOUR,
    title="surface normals",
    draw=drawing.as_it_is,
    measures=(Measure("normals_mean", "mean normal", ("normals",), lambda x: float(x.mean())),),
    streamed=Streamed("normals", moves="never"),
)
KEYS = ["videos-walk-0", "videos-walk-3"]


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "normals", ROW)


@pytest.fixture
def clips(make_clip: Callable[..., Clip]) -> list[Clip]:
    rng = np.random.default_rng(1)
    made = [make_clip(key, seed=i) for i, key in enumerate(KEYS)]
    return [replace(c, more={"normals": rng.integers(0, 256, c.rgb.shape, np.uint8)}) for c in made]


@pytest.fixture
def dataset(tmp_path: Path, clips: list[Clip]) -> Path:
    root = tmp_path / "normals"
    build = open_for_build(root, {"size": 32})
    samples = [(clip.key, encode_clip(clip)) for clip in clips]
    commit_shard(root, "train", 0, samples, fingerprint=build.info.fingerprint)
    build.finish({"train": 1})
    return root


def faults_of(root: Path, clips: list[Clip], change: tuple[str, bytes | None]) -> list[str]:
    """Those of the dataset when a member of its first clip is something else, or is gone."""
    name, data = change
    members = [m for m in encode_clip(clips[0]) if m[0] != name]
    if data is not None:
        members.append((name, data))
    build = open_for_build(root, {"size": 32})
    commit_shard(root, "train", 0, [(KEYS[0], members)], fingerprint=build.info.fingerprint)
    build.finish({"train": 1})
    return [fault.what for fault in verify(root)]


def test_it_is_stored_and_read(dataset: Path, clips: list[Clip]) -> None:
    opened = open_dataset(dataset)
    names = [name for name, _ in read_sample(opened.entries[KEYS[0]])]
    assert [n for n in names if "normals" in n] == [
        f"{KEYS[0]}.normals.00{t}.png" for t in range(3)
    ]
    back = opened.read(KEYS[1])
    np.testing.assert_array_equal(back["normals"], clips[1]["normals"])
    assert back.modalities == clips[1].modalities
    part = opened.read(KEYS[1], modalities=["normals"], frames=[2])
    np.testing.assert_array_equal(part.more["normals"], clips[1].more["normals"][[2]])


def test_arrays_that_do_not_fit_are_refused(clips: list[Clip]) -> None:
    for wrong in (clips[0].rgb[:2], clips[0].rgb[..., 0], clips[0].rgb.astype(np.float32)):
        with pytest.raises(
            ValueError, match=r"videos-walk-0: normals is .*, not uint8\(3, 24, 32, 3"
        ):
            replace(clips[0], more={"normals": wrong})
    with pytest.raises(ValueError, match="no such modality: heat"):
        replace(clips[0], more={"heat": clips[0].rgb})


def test_it_is_verified(tmp_path: Path, dataset: Path, clips: list[Clip]) -> None:
    assert list(verify(dataset)) == []
    frame = f"{KEYS[0]}.normals.001.png"
    grey = dict(encode_clip(clips[0]))[f"{KEYS[0]}.mask.001.png"]
    [missing] = faults_of(tmp_path / "b", clips, (frame, None))
    assert missing.endswith("normals.001.png: missing")
    [wrong] = faults_of(tmp_path / "c", clips, (frame, grey))
    assert "wrong for normals" in wrong


def test_it_is_in_index_and_statistics(dataset: Path, capsys: Any) -> None:
    rows = read_index(Store.at(dataset))
    sizes = [entry.sample.sizes["normals"] for entry in open_dataset(dataset).entries.values()]
    assert rows is not None
    assert [row["bytes_normals"] for row in rows] == sizes
    numbers = dataset_stats(open_dataset(dataset))
    assert numbers["modalities"]["normals"]["clips"] == 2
    assert 100 < numbers["quality"]["normals_mean"]["mean"] < 150
    assert numbers["worst"]["normals_mean"] in KEYS
    assert stats(str(dataset), as_json=False) == 0
    assert "mean normal" in capsys.readouterr().out


def test_it_is_shown(dataset: Path, clips: list[Clip]) -> None:
    clip = open_dataset(dataset).read(KEYS[0])
    np.testing.assert_array_equal(rows_of_tiles(clip)["normals"], clips[0]["normals"])
    plain = replace(clip, more={})
    taller = (
        decode_image(contact_sheet(clip)).shape[0] - decode_image(contact_sheet(plain)).shape[0]
    )
    assert taller > 100  # a row of tiles


@pytest.mark.parametrize("workers", [0, 1])
def test_it_is_streamed(dataset: Path, clips: list[Clip], workers: int) -> None:
    """By itself or with all others, sample by sample or in batches, here or from a worker."""
    stored = {clip.key: clip["normals"] for clip in clips}
    for wanted in (["normals"], None):
        stream = ClipStream(dataset, frames=2, modalities=wanted, shuffle=False, max_frame_step=1)
        [batch] = ClipLoader(stream, 2, workers=workers)
        assert batch["normals"].shape == (2, 2, 24, 32, 3)
        assert ("pose" in batch.arrays) == (wanted is None)
        for key, normals in zip(batch.key, batch["normals"], strict=True):
            np.testing.assert_array_equal(normals, stored[key][:2])
    for sample in ClipStream(dataset, frames=3, modalities=["normals"]).samples():
        np.testing.assert_array_equal(sample["normals"], stored[sample.key])


def test_it_is_not_mirrored(dataset: Path) -> None:
    with pytest.raises(ValueError, match="normals can be neither cropped nor mirrored"):
        ClipStream(dataset, frames=1, modalities=["normals"], mirror=0.5)
    ClipStream(dataset, frames=1, modalities=["rgb"], mirror=0.5)
