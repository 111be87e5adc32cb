"""A mix file stands for its datasets and their weights."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.errors import NotADataset
from shards.files.storage import Store
from shards.mix import read_mix
from shards.stream import ClipStream


@pytest.fixture
def home(tmp_path: Path, build_tiny: Callable[..., Path]) -> Path:
    """Datasets `a` of 6 and `deep/b` of 4 clips."""
    build_tiny(tmp_path / "a", (6,), name="a")
    build_tiny(tmp_path / "deep/b", (4,), name="b")
    return tmp_path


def write(path: Path, *entries: Any, schema: Any = 1) -> Path:
    path.write_text(json.dumps({"schema": schema, "paths": entries}))
    return path


A, B = {"path": "a", "weight": 3}, {"path": "deep/b", "weight": 1.0}


def keys(*arguments: Any, **options: Any) -> list[str]:
    stream = ClipStream(*arguments, frames=1, endless=True, **options)
    return [sample.key for sample in itertools.islice(stream.samples(), 80)]


def test_a_mix_is_its_paths_and_weights(home: Path) -> None:
    expected = keys([home / "a", home / "deep/b"], weights=(3, 1))
    assert keys(write(home / "mix.json", A, B)) == expected
    assert keys(home) == expected  # the folder that holds it
    elsewhere = write(home / "deep/other.json", {**A, "path": "../a"}, {**B, "path": "b"})
    assert keys(elsewhere) == expected
    absolute = write(home / "deep/third.json", {**A, "path": str(home / "a")}, {**B, "path": "b"})
    assert keys(str(absolute)) == expected


def test_in_an_object_store(memory_url: str, build_tiny: Callable[..., Path]) -> None:
    build_tiny(f"{memory_url}/a", (6,), name="a")
    build_tiny(f"{memory_url}/deep/b", (4,), name="b")
    content = json.dumps({"schema": 1, "paths": [A, {**B, "path": f"{memory_url}/deep/b"}]})
    Store.at(memory_url).write_bytes("mix.json", content.encode())
    assert keys(memory_url) == keys([f"{memory_url}/a", f"{memory_url}/deep/b"], weights=(3, 1))


def test_a_dataset_with_such_a_file_in_it_is_a_dataset(home: Path) -> None:
    write(home / "a/mix.json", {**B, "path": "../deep/b"})
    assert read_mix(home / "a") is None
    assert {key[0] for key in keys(home / "a")} == {"a"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "schema None"),
        ('{"schema": 2, "paths": []}', "schema 2; this version reads mixes of 1"),
        ('{"schema": 1, "paths": []}', "no list of datasets"),
        ('{"schema": 1, "paths": ["a"]}', "'a' is not"),
        ('{"schema": 1, "paths": [{"path": "a", "weight": 0}]}', "a positive number"),
        ('{"schema": 1, "paths": [{"path": "a", "weight": Infinity}]}', "a positive number|JSON"),
        ('{"schema": 1, "paths": [{"path": "a", "weight": true}]}', "a positive number"),
        ('{"schema": 1, "paths": [{"path": "c", "weight": 1}]}', "names .*/c, where nothing is"),
    ],
)
def test_mistakes_name_the_file(home: Path, content: str, message: str) -> None:
    (home / "mix.json").write_text(content)
    with pytest.raises(NotADataset, match=rf"mix\.json: .*({message})"):
        ClipStream(home, frames=1)


def test_a_mix_stands_alone(home: Path) -> None:
    mix = write(home / "mix.json", A, B)
    with pytest.raises(ValueError, match="give it alone"):
        ClipStream(mix, frames=1, weights=(1, 2))
    with pytest.raises(ValueError, match="give it alone"):
        ClipStream([mix, home / "a"], frames=1)
    with pytest.raises(NotADataset, match=r"absent\.json: there is no such file"):
        ClipStream(home / "absent.json", frames=1)
