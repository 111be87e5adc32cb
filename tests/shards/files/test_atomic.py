"""Files and folders have their names whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from shards.files.atomic import atomic_file, atomic_folder, filled_folder, write_atomically
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
    with atomic_folder(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_one_folder_leaves_alone_what_another_process_makes_beside_it(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").write_bytes(b"ours")
        with atomic_folder(tmp_path / "other"):
            pass
    assert (tmp_path / "model" / "weights").read_bytes() == b"ours"


def test_a_folder_killed_while_it_is_replaced_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-model").mkdir()  # between two renames
    (tmp_path / ".unfinished-replaced-model").mkdir()
    (tmp_path / ".unfinished-replaced-model" / "weights").write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_bytes() == b"old"


def test_a_folder_that_cannot_be_named_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == ".unfinished-model":
            raise OSError("out of quota")
        return rename(self, target)

    with atomic_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").write_bytes(b"old")
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="out of quota"), atomic_folder(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_bytes() == b"old"


@pytest.mark.parametrize("target", ["elsewhere", "elsewhere/0", "gone"])
def test_a_folder_takes_the_place_of_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0").write_text("mine")
    path = tmp_path / "out" / "features"
    path.parent.mkdir()
    path.symlink_to(tmp_path / target)
    with atomic_folder(path) as unfinished:
        (unfinished / "fid").write_text("new")
    assert not path.is_symlink()
    assert contents(path.parent) == {"features/fid": "new"}
    assert contents(tmp_path / "elsewhere") == {"0": "mine"}


def fill(folder: Path, content: str) -> None:
    with filled_folder(folder, "report") as unfinished:
        (unfinished / "depth").mkdir()
        (unfinished / "depth" / "0").write_text(content)
        (unfinished / "video").write_text(content)
        (unfinished / "report").write_text(content)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_a_folder_is_filled_anew_and_what_else_lies_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    for content in ("old", "new"):
        fill(tmp_path / "out", content)
        wanted = dict.fromkeys(("depth/0", "video", "report"), content)
        assert contents(tmp_path / "out") == {**wanted, "mine": "mine"}


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    """A folder for a link to a folder, to a file and to nothing; a file for a link to a folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0").write_text("mine")
    for name, target in (
        ("depth", elsewhere),
        ("depth", elsewhere / "0"),
        ("depth", tmp_path / "gone"),
        ("video", elsewhere),
    ):
        out = tmp_path / "out"
        fill(out, "old")
        if name == "depth":
            (out / "depth" / "0").unlink()
            (out / "depth").rmdir()
        else:
            (out / name).unlink()
        (out / name).symlink_to(target)
        fill(out, "new")
        assert contents(out) == dict.fromkeys(("depth/0", "video", "report"), "new")
        assert not any(path.is_symlink() for path in out.iterdir())
    assert contents(elsewhere) == {"0": "mine"}
