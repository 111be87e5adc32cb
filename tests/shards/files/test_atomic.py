"""Files and folders have their names whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from shards.files.atomic import atomic_file, atomic_folder, write_atomically
from shards.files.storage import Store


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"old")
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert list(Store.at(path.parent).list()) == ["file"]
    assert path.read_bytes() == b"new"
    assert [path.name for path in path.parent.iterdir()] == ["file"]


def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as temporary:
        temporary.write_text("half\ud800", encoding="utf-8")
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        with atomic_folder(tmp_path / "model") as unfinished:
            assert not (unfinished / "weights").exists()
            (unfinished / "weights").write_bytes(content)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_bytes() == b"new"


def test_a_folder_that_fails_or_is_killed_leaves_what_was_there(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model"):
        raise RuntimeError
    (tmp_path / ".unfinished-model").mkdir()  # of a killed process
    assert (tmp_path / "model" / "weights").read_bytes() == b"old"
    with atomic_folder(tmp_path / "other"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]
