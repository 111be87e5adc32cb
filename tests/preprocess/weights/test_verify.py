"""What is missing is named; what is damaged or changed is not used."""

import hashlib
import os

import pytest

from preprocess import weights
from preprocess.errors import InputError
from preprocess.weights import Checksum, MadeHere, checksums, verify

from .conftest import sha256

CONTENT = b"some weights"


def put(root, content=CONTENT, name="tests/a.bin"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_absent_file_says_where_it_belongs_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError) as error:
        weights.locate("lite/face_landmark.tflite")
    for part in ("lite/face_landmark.tflite", str(tmp_path), "`idol-prep weights fetch lite`"):
        assert part in str(error.value)


def test_an_absent_model_says_where_to_put_a_copy(tmp_path):
    with pytest.raises(InputError) as error:
        weights.locate("sam/sam_vit_b_01ec64.pth", tmp_path)
    path = tmp_path / "sam" / "sam_vit_b_01ec64.pth"
    url = weights.files("sam/sam_vit_b_01ec64.pth")[0].source.url
    assert f"put {url} at {path}" in str(error.value)
    # not `fetch sam`, which would bring all three
    command = f"`idol-prep weights fetch sam/sam_vit_b_01ec64.pth --weights {tmp_path}`"
    assert command in str(error.value)


def test_a_file_that_is_made_here_says_by_which_command_and_of_what(make_entry, tmp_path):
    make_entry("tests/a.bin", source=MadeHere(command="idol-prep weights make", needs="a zip"))
    how = f"Make it with `idol-prep weights make --weights {tmp_path}` from a zip."
    with pytest.raises(InputError) as absent:
        weights.locate("tests/a.bin", tmp_path)
    assert how in str(absent.value)
    with pytest.raises(InputError) as not_fetched:
        list(weights.fetch(weights.files("tests"), tmp_path))
    assert f"is not served. {how}" in str(not_fetched.value)


def test_a_cut_off_file_is_not_used(tmp_path):
    put(tmp_path, b"cut", "lite/face_landmark.tflite")
    with pytest.raises(InputError, match=r"damaged \(3 of 1242398 bytes\)"):
        weights.locate("lite/face_landmark.tflite", tmp_path)


def test_a_build_does_not_use_other_content_of_the_same_size(tmp_path):
    (entry,) = weights.files("lite/hand_recrop.tflite")
    path = put(tmp_path, bytes(entry.bytes), entry.name)
    assert weights.locate(entry.name, tmp_path) == path
    with pytest.raises(InputError, match="damaged"):
        weights.require((entry,), tmp_path)


def test_a_stated_checksum_is_known_without_the_file(make_entry, tmp_path):
    make_entry(stated="ab" * 32)
    assert weights.checksum("tests/a.bin", tmp_path) == "ab" * 32
    assert not list(tmp_path.iterdir())


def test_an_unstated_checksum_is_recorded_on_first_use_and_compared_afterwards(
    make_entry, tmp_path
):
    entry = make_entry()
    with pytest.raises(InputError, match="is not there"):
        weights.checksum("tests/a.bin", tmp_path)
    put(tmp_path)
    assert weights.check(entry, tmp_path) == "unrecorded"
    assert weights.checksum("tests/a.bin", tmp_path) == sha256(CONTENT)
    assert weights.check(entry, tmp_path) == "ok"
    put(tmp_path, b"others")
    assert weights.check(entry, tmp_path) == "damaged"
    for use in (lambda: weights.checksum("tests/a.bin", tmp_path), lambda: require(tmp_path)):
        with pytest.raises(InputError, match=r"has changed .*weights accept tests/a\.bin"):
            use()
    assert weights.accept(entry, tmp_path)
    assert weights.checksum("tests/a.bin", tmp_path) == sha256(b"others")


def require(root):
    weights.require(weights.files("tests/a.bin"), root)


def test_what_others_state_cannot_be_overruled(make_entry, tmp_path):
    entry = make_entry(stated=sha256(CONTENT))
    put(tmp_path, b"others")
    with pytest.raises(InputError, match="stated by tests"):
        weights.accept(entry, tmp_path)


def test_the_first_digits_alone_are_held_against_a_file(make_entry, tmp_path):
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    entry = make_entry(stated=(Checksum("md5", md5[:6], "its file name"),))
    put(tmp_path)
    assert weights.check(entry, tmp_path) == "unrecorded"
    put(tmp_path, b"others")
    assert weights.check(entry, tmp_path) == "damaged"
    with pytest.raises(InputError, match=f"not {md5[:6]} .stated by its file name"):
        weights.checksum("tests/a.bin", tmp_path)


@pytest.mark.parametrize("stated", [(), sha256(CONTENT)])
def test_a_file_is_read_once_until_it_changes(stated, make_entry, tmp_path, monkeypatch):
    entry = make_entry(stated=stated)
    path = put(tmp_path)
    reads = []
    digests = verify.digests
    monkeypatch.setattr(verify, "digests", lambda *a: reads.append(a) or digests(*a))
    for _ in range(3):
        require(tmp_path)
        assert weights.checksum("tests/a.bin", tmp_path) == sha256(CONTENT)
    assert len(reads) == 1
    assert weights.check(entry, tmp_path) == "ok"  # always reads
    assert len(reads) == 2
    os.utime(path, ns=(1, 1))
    require(tmp_path)
    require(tmp_path)
    assert len(reads) == 3


def test_a_read_only_folder_works_and_stays_as_it_is(make_entry, tmp_path, monkeypatch):
    make_entry()
    put(tmp_path)

    def refuse(*_):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(checksums, "record", refuse)
    assert weights.checksum("tests/a.bin", tmp_path) == sha256(CONTENT)
    require(tmp_path)


@pytest.mark.usefixtures("no_locks")
def test_a_folder_without_locks_works_and_records(make_entry, tmp_path):
    make_entry()
    put(tmp_path)
    require(tmp_path)
    assert checksums.read(tmp_path)["tests/a.bin"].sha256 == sha256(CONTENT)


def test_what_cannot_be_recorded_is_used_and_read_again(make_entry, tmp_path, monkeypatch, caplog):
    make_entry()
    put(tmp_path)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checksums, "record", refuse)
    caplog.set_level("DEBUG", "preprocess")
    require(tmp_path)
    assert "the checksum of tests/a.bin is not recorded" in caplog.text


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "git-lfs pointer"),
        (b"<html>sign in</html>", "web page"),
    ],
)
def test_what_is_no_weights_is_never_recorded_as_such(content, found, make_entry, tmp_path):
    """Such as a file copied by hand out of a clone without git-lfs."""
    entry = make_entry()
    put(tmp_path, content)
    assert weights.state(entry, tmp_path) == "damaged"
    with pytest.raises(InputError, match=found):
        weights.checksum("tests/a.bin", tmp_path)
    assert checksums.read(tmp_path) == {}


def test_an_empty_file_is_not_located(make_entry, tmp_path):
    make_entry()
    put(tmp_path, b"")
    with pytest.raises(InputError, match="damaged"):
        weights.locate("tests/a.bin", tmp_path)
