"""A dataset of an older schema is refused in one line, however it is opened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idol.train.cli import main as train
from shards.dataset import open_for_build
from shards.errors import OldSchema
from shards.inspect.cli import main as idol_shards
from shards.inspect.verify import verify
from shards.reader import open_dataset
from shards.stream.clipstream import ClipStream


@pytest.fixture
def old(dataset: Path) -> Path:
    """As version 2 wrote it, so far as schemas go."""
    for file in dataset.rglob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_bytes()), "schema": 2}))
    return dataset


WAYS: list[Callable[[Path], Any]] = [
    open_dataset,
    lambda path: list(verify(path)),
    lambda path: ClipStream(path, frames=1),
    lambda path: open_for_build(path, {"size": 32}),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lost", [(), ("dataset.json",)])
def test_every_way_in_names_the_file_and_says_to_rebuild(
    old: Path, way: Callable[[Path], Any], lost: tuple[str, ...]
) -> None:
    for name in lost:
        (old / name).unlink()
    before = sorted(old.rglob("*"))
    file = "train/shard-00000.json" if lost else "dataset.json"
    with pytest.raises(OldSchema) as refused:
        way(old)
    assert str(refused.value) == (
        f"{old}/{file}: has schema 2, this version reads 3: "
        "build the dataset again, into an empty folder"
    )
    assert sorted(old.rglob("*")) == before


def test_a_lone_tar_too(old: Path, tmp_path: Path) -> None:
    with pytest.raises(OldSchema, match=r"shard-00000\.json: has schema 2"):
        open_dataset(old / "train/shard-00000.tar")
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(old / "train/shard-00000.tar", lone)
    assert open_dataset(lone / "shard-00000.tar").entries  # without a manifest: anybody's tar


def test_commands_print_one_line(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for main, argv in (
        (idol_shards, ["ls", str(old)]),
        (idol_shards, ["verify", str(old)]),
        (train, ["--stage", "image", "--shards", str(old), "--preset", "tiny", "--output", "run"]),
    ):
        assert main(argv) != 0
        [line] = capsys.readouterr().err.splitlines()
        assert "dataset.json: has schema 2, this version reads 3: build the dataset again" in line
