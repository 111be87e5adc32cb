from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shards.dataset import fingerprint, open_for_build, read_info
from shards.errors import BadManifest, NotADataset, RecipeMismatch
from shards.files.storage import Store
from shards.index import index_bytes, read_index
from shards.manifest import Manifest, list_shards
from shards.writer import commit_shard

Build = Callable[[str | Path], None]


def _files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_finished_dataset_says_what_it_holds(dataset: Path) -> None:
    value = json.loads((dataset / "dataset.json").read_bytes())
    assert value["schema"] == 3
    assert value["status"] == "complete"
    assert value["fingerprint"] == fingerprint({"size": 32})
    totals = value["totals"]
    assert (totals["shards"], totals["clips"], totals["frames"]) == (3, 4, 12)
    assert (totals["videos"], totals["quarantined"]) == (1, 1)
    assert totals["splits"]["val"]["clips"] == 0


def test_two_builds_have_the_same_bytes(tmp_path: Path, build: Build) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_building_again_over_a_killed_build_gives_the_same_bytes(
    dataset: Path, build: Build
) -> None:
    before = _files(dataset)
    (dataset / "index.parquet").unlink()
    (dataset / "train/shard-00001.json").write_bytes(b'{"sch')
    (dataset / "train/shard-00000.tar").write_bytes(b"garbage")
    (dataset / "train/.shard-00001.tar.tmp-00000000").write_bytes(b"half")
    (dataset / ".dataset.json.tmp-00000000").write_bytes(b"half")
    build(dataset)
    assert _files(dataset) == before


def test_an_object_store_gets_the_same_bytes(dataset: Path, memory_url: str, build: Build) -> None:
    build(memory_url)
    for name, data in _files(dataset).items():
        assert Store.at(memory_url).read(name) == data


def test_another_recipe_is_refused_with_each_difference(tmp_path: Path) -> None:
    open_for_build(tmp_path, {"size": 256, "crop": {"mode": "center"}, "a": (1, 2), "old": 1})
    with pytest.raises(RecipeMismatch) as caught:
        open_for_build(tmp_path, {"size": 512, "crop": {"mode": "none"}, "a": [1, 2], "new": None})
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1:-1] == [
        'crop.mode: "center" there, "none" here',
        "new: absent there, null here",
        "old: 1 there, absent here",
        "size: 256 there, 512 here",
    ]


def test_the_same_recipe_goes_on(dataset: Path) -> None:
    before = _files(dataset)
    opened = open_for_build(dataset, {"size": 32}, software={"idol-video": "0"})
    info = read_info(dataset)
    assert info is not None
    assert info.status == "building"
    assert read_info(dataset) == opened.info
    done = opened.finish({"train": 2, "val": 1})
    assert read_info(dataset) == done
    assert _files(dataset) == before


def test_a_lost_dataset_json_is_made_again_from_shards_of_the_same_recipe(dataset: Path) -> None:
    before = _files(dataset)
    (dataset / "dataset.json").unlink()
    (dataset / "train/shard-00001.json").write_bytes(b"{")  # a shard that does not exist
    with pytest.raises(RecipeMismatch, match=r"train/shard-00000\.tar was made with another"):
        open_for_build(dataset, {"size": 33})
    assert not (dataset / "dataset.json").exists()
    (dataset / "train/shard-00001.json").write_bytes(before["train/shard-00001.json"])
    opened = open_for_build(dataset, {"size": 32}, software={"idol-video": "0"})
    opened.finish({"train": 2, "val": 1})
    assert _files(dataset) == before


@pytest.mark.parametrize("stranger", ["thesis.tex", "train/thesis.tex", "train/shard-7.tar"])
def test_shards_beside_strangers_are_left_alone(dataset: Path, stranger: str) -> None:
    (dataset / "dataset.json").unlink()
    (dataset / stranger).write_bytes(b"")
    with pytest.raises(NotADataset, match=rf"holds no dataset\.json \(but {stranger}\)"):
        open_for_build(dataset, {"size": 32})


def test_shards_that_name_no_recipe_are_left_alone(dataset: Path) -> None:
    commit_shard(dataset, "val", 0, [])
    (dataset / "dataset.json").unlink()
    with pytest.raises(NotADataset, match="not empty"):
        open_for_build(dataset, {"size": 32})


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_bytes(b"")
    with pytest.raises(NotADataset, match=r"thesis\.tex"):
        open_for_build(tmp_path, {})
    with pytest.raises(NotADataset, match="is a file"):
        open_for_build(tmp_path / "thesis.tex", {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"schema": 4}, "upgrade"),
        (
            {"schema": 2},
            "dataset.json: has schema 2, this version reads 3: build the dataset again",
        ),
        ({"recipe": {"size": 33}}, "edited"),
        ({"schema": "x"}, "damaged: it names no schema"),
        ({"totals": None}, "damaged: its field totals is missing or of another type: delete"),
        ({"recipe": {"a": float("nan")}}, "damaged: it holds a number that is not finite: delete"),
        ({"weights": {"a": float("inf")}}, "damaged: it holds a number that is not finite"),
        ({"fingerprint": 3}, "its field fingerprint .*run the same build command again"),
    ],
)
def test_a_dataset_we_cannot_understand_is_refused(dataset: Path, change: dict, what: str) -> None:
    file = dataset / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **change}))
    with pytest.raises(NotADataset, match=what):
        open_for_build(dataset, {"size": 32})
    for data in (b"{", b"[" * 100_000, b"[]", b"\xff"):
        file.write_bytes(data)
        with pytest.raises(NotADataset, match=r"damaged: .*delete dataset\.json and run"):
            open_for_build(dataset, {"size": 32})


def test_a_build_does_not_finish_without_every_shard(dataset: Path) -> None:
    opened = open_for_build(dataset, {"size": 32})
    with pytest.raises(BadManifest, match="shard-00002"):
        opened.finish({"train": 3, "val": 1})
    info = read_info(dataset)
    assert info is not None
    assert info.status == "building"


def test_shards_beyond_the_plan_are_removed(dataset: Path) -> None:
    done = open_for_build(dataset, {"size": 32}).finish({"train": 1})
    assert done.totals["shards"] == 1
    assert list(list_shards(Store.at(dataset), "train")) == [0]
    assert list_shards(Store.at(dataset), "val") == {}


def test_the_index_has_a_row_for_each_clip(dataset: Path) -> None:
    rows = read_index(Store.at(dataset))
    assert rows is not None
    assert [(row["key"], row["split"], row["shard"]) for row in rows] == [
        ("videos-walk-0", "train", 0),
        ("videos-walk-16", "train", 0),
        ("videos-walk-32", "train", 1),
        ("videos-walk-48", "train", 1),
    ]
    row = rows[0]
    assert (row["frames"], row["fps"], row["width"], row["height"]) == (3, 10.0, 32, 24)
    assert row["bytes"] == sum(n for name, n in row.items() if name.startswith("bytes_"))
    assert row["bytes"] < row["length"]


def test_the_index_of_names_that_are_not_unicode(tmp_path: Path) -> None:
    members = [("k-a-0.json", b'{"frame_indices":[0],"key":"k-a-0","video":"\\udcff"}')]
    manifest = commit_shard(tmp_path, "train", 0, [("k-a-0", members)])
    assert manifest.samples[0].video == "\udcff"
    Store.at(tmp_path).write_bytes("index.parquet", index_bytes([manifest]))
    rows = read_index(Store.at(tmp_path))
    assert rows is not None
    assert rows[0]["video"] == "\\udcff"


def test_an_empty_index_is_a_table_all_the_same() -> None:
    empty = index_bytes([Manifest("train", 0, 0, "")])
    assert empty == index_bytes([])
