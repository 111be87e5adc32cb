from __future__ import annotations

import pickle
import resource
from pathlib import Path

import pytest

from shards.errors import StorageError
from shards.files.storage import Store


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, memory_url: str) -> Store:
    return Store.at(tmp_path / "out::x" if request.param == "disk" else memory_url)


def test_what_is_written_is_read(store: Store) -> None:
    store.write_bytes("a/b.bin", b"0123456789")
    assert store.read("a/b.bin") == b"0123456789"
    assert store.read("a/b.bin", 2, 5) == b"234"
    assert store.size("a/b.bin") == 10
    assert store.list() == {"a": True}
    assert store.list("a") == {"b.bin": False}
    with store.open("a/b.bin") as file:
        file.seek(8)
        assert file.read() == b"89"


def test_absent_things_are_told_from_errors(store: Store) -> None:
    assert store.size("no") is None
    assert store.list("no") == {}
    store.remove("no")
    with pytest.raises(StorageError, match=r"cannot read .*no"):
        store.read("no")


def test_a_file_appears_whole_or_not_at_all(store: Store) -> None:
    store.write_bytes("x", b"old")
    with pytest.raises(ZeroDivisionError), store.write("x") as output:
        output.write(b"half of the n" * (1 // (output.bytes - output.bytes)))
    assert store.read("x") == b"old"
    assert list(store._entries("")) == ["x"]  # and nothing is left lying about
    with store.write("x") as output:
        output.write(b"new")
        assert store.read("x") == b"old"
    assert store.read("x") == b"new"


def test_output_counts_and_hashes(store: Store) -> None:
    with store.write("x") as output:
        output.write(b"ab")
        output.write(b"c")
        assert output.bytes == output.tell() == 3
    assert output.sha256.startswith("ba7816bf")  # the standard's test vector for "abc"


def test_leftovers_of_a_killed_writer_are_unseen_and_swept(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    leftover = tmp_path / ".shard-00000.tar.tmp-0a1b2c3d"
    leftover.write_bytes(b"half")
    (tmp_path / ".gitignore").write_bytes(b"")
    assert list(store.list()) == [".gitignore"]
    store.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [".gitignore"]


def test_errors_of_whoever_computes_the_data_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Store.at(tmp_path).write("x") as output:
        output.write((tmp_path / "video.mp4").read_bytes())


def test_failures_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot write .*file/x"):
        Store.at(tmp_path / "file").write_bytes("x", b"")


def test_unknown_storage_is_refused() -> None:
    with pytest.raises(StorageError, match="nowhere://x"):
        Store.at("nowhere://x")


def test_an_empty_path_is_not_this_folder() -> None:
    with pytest.raises(StorageError, match="path is empty"):
        Store.at("")
    assert Store.at(".").root == str(Path.cwd())


def test_s3_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_client(*args: object, **kwargs: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", no_client)
    with pytest.raises(StorageError, match=r"cannot open s3://bucket: .*: pip install s3fs$"):
        Store.at("s3://bucket")


def test_brackets_in_a_name_are_no_pattern() -> None:
    stores = [Store.at(f"memory://brackets/run{name}") for name in ("[1]", "1")]
    for store in stores:
        store.write_bytes("folder/a/b", b"1")
    stores[0].remove_folder("folder")
    stores[0].remove_folder("folder")  # is gone
    assert [store.read_if_there("folder/a/b") for store in stores] == [None, b"1"]


def test_a_store_travels_to_other_processes(store: Store) -> None:
    store.write_bytes("x", b"1")
    assert pickle.loads(pickle.dumps(store)).read("x") == b"1"


def test_a_file_that_cannot_grow_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """Also where what was buffered fails once more as the file is closed."""
    store = Store.at(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=rf"cannot write {tmp_path}/big: File too large"):
            store.write_bytes("big", bytes(30_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
