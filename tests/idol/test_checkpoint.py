from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from idol.checkpoint import Checkpoints, find_damage


def fill(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"12345")


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 100):
        checkpoints.write(step, fill)
    assert [path.name for path in checkpoints.listed()] == ["step-00000100", "step-00000010"]
    assert checkpoints.newest() == tmp_path / "step-00000100"


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    path = checkpoints.write(3, fill)
    own = [tmp_path / name for name in ("step-00000003-best", "step-00000003.tar", "step-best")]
    for copy in own:
        shutil.copytree(path, copy)
    assert checkpoints.write(4, fill) == checkpoints.newest()
    assert sorted(tmp_path.iterdir()) == sorted([*own, tmp_path / "step-00000004"])


def test_a_damaged_later_one_does_not_push_out_a_new_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    (checkpoints.write(10, fill) / "manifest.json").unlink()
    assert checkpoints.write(6, fill) == checkpoints.newest()
    assert checkpoints.listed() == [tmp_path / "step-00000006"]


def test_one_that_cannot_be_removed_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    others = checkpoints.write(1, fill)
    remove = shutil.rmtree

    def refuse(path: Path, **options: bool) -> None:
        if path == others:
            raise PermissionError(13, "Permission denied", str(path / "manifest.json"))
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    checkpoints.write(2, fill)
    newest = checkpoints.write(3, fill)
    assert checkpoints.listed() == [newest, others]
    assert f"checkpoint {others} cannot be removed, and stays: " in caplog.text


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError("disk full")

    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, fill)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(2, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-step-00000001").mkdir()
    (tmp_path / ".unfinished-replaced-step-00000001").mkdir()
    Checkpoints(tmp_path).write(2, fill)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model/weights", b"12346", "checksum"),
        ("model/weights", b"1234", "size"),
        ("model/weights", None, "missing"),
        ("manifest.json", b"{", "damaged"),
        ("manifest.json", b'{"format": 9}', "format 9"),
        ("manifest.json", None, "missing"),
    ],
)
def test_damage_is_found(tmp_path: Path, file: str, content: bytes | None, said: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    whole = checkpoints.write(1, fill)
    path = checkpoints.write(2, fill)
    assert find_damage(path) is None
    (path / file).unlink()
    if content is not None:
        (path / file).write_bytes(content)
    assert said in str(find_damage(path))
    assert checkpoints.newest() == whole
