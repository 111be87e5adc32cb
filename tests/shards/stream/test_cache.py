"""Whole shards of an object store on the local disk: verified, whole, shared, bounded."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from shards.errors import BadTar, StorageError
from shards.files import cache as file_cache
from shards.files.storage import Store
from shards.reader import open_dataset
from shards.stream import ClipStream
from shards.stream import cache as cache_module
from shards.stream.cache import ShardCache
from shards.stream.catalogue import ShardEntry, make_catalogue


def entries(path: str | Store) -> list[ShardEntry]:
    found = [open_dataset(path).shards_of()]
    return list(make_catalogue(found, frames=1, stored={"rgb"}).sources[0].shards)


@pytest.fixture
def remote(memory_url: str, build_tiny: Callable[..., Path]) -> str:
    build_tiny(memory_url, (4, 4, 4))
    return memory_url


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards downloaded in this process."""
    names: list[str] = []
    download = cache_module._download
    monkeypatch.setattr(
        cache_module, "_download", lambda s, part: (names.append(s.name), download(s, part))
    )
    return names


def test_each_shard_is_fetched_once_and_verified(
    remote: str, tmp_path: Path, downloads: list[str]
) -> None:
    stream = ClipStream(remote, frames=1, cache=tmp_path)
    first, second = ({s.key for s in stream.samples()} for _ in range(2))
    assert first == second == set(open_dataset(remote).entries)
    assert sorted(downloads) == [f"train/shard-0000{i}.tar" for i in range(3)]
    list(ClipStream(remote, frames=1, cache=tmp_path).samples())
    assert len(downloads) == 3
    for thread in threading.enumerate():
        if thread.name == "shards":  # it ends after the shard that it is at
            thread.join(60)
    names = {path.name for path in tmp_path.glob("[!.]*")}
    assert names == {f"{shard.sha256}.tar" for shard in entries(remote)}


def test_a_shard_placed_between_look_and_lock_leaves_no_part(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = entries(remote)[0]
    cache = ShardCache(tmp_path, 2**20)
    exclusive = file_cache.exclusive

    def late(path: Path, *, wait: bool) -> object:
        monkeypatch.setattr(file_cache, "exclusive", exclusive)
        ShardCache(tmp_path, 2**20).open(shard).close()  # somebody else is quicker
        return exclusive(path, wait=wait)

    monkeypatch.setattr(file_cache, "exclusive", late)
    cache.open(shard).close()
    assert [path.name for path in tmp_path.glob("[!.]*")] == [f"{shard.sha256}.tar"]


@pytest.mark.usefixtures("no_locks")
def test_a_folder_without_locks_is_named_and_so_is_what_moves_it(
    remote: str, tmp_path: Path
) -> None:
    shard = entries(remote)[0]
    said = rf"cannot cache .* in {tmp_path}: .*has no locks: choose a folder .*\(--cache, in Python"
    with pytest.raises(StorageError, match=said):
        ShardCache(tmp_path, 2**20).open(shard)
    with pytest.raises(StorageError, match=said):
        ShardCache(tmp_path, 2**20).fetch(shard)


def test_without_a_cache_clips_are_read_by_range(remote: str, tmp_path: Path) -> None:
    direct = [s.key for s in ClipStream(remote, frames=1).samples()]
    assert direct == [s.key for s in ClipStream(remote, frames=1, cache=tmp_path).samples()]


def test_local_shards_are_read_in_place(tiny: Path, tmp_path: Path) -> None:
    list(ClipStream(tiny, frames=1, cache=tmp_path / "cache").samples())
    assert not (tmp_path / "cache").exists()


def test_a_damaged_shard_is_refused_and_leaves_nothing(remote: str, tmp_path: Path) -> None:
    store, name = Store.at(remote), "train/shard-00001.tar"
    data = bytearray(store.read(name))
    data[600] ^= 1
    store.write_bytes(name, bytes(data))
    cache = ShardCache(tmp_path, 2**20)
    with pytest.raises(BadTar, match=r"shard-00001\.tar: has checksum .* copy or build"):
        cache.open(entries(remote)[1])
    assert list(tmp_path.glob("[!.]*")) == []


def test_a_download_damaged_once_is_repeated(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = Store.open

    def flaky(store: Store, name: str = "") -> object:
        opened.append(1)
        return original(store, "train/shard-00002.tar" if len(opened) == 1 else name)

    shard = entries(remote)[0]
    monkeypatch.setattr(Store, "open", flaky)
    with ShardCache(tmp_path, 2**20).open(shard) as file:
        assert len(file.read()) == shard.bytes
    assert len(opened) == 2


def test_the_least_recently_used_make_room(
    remote: str, tmp_path: Path, downloads: list[str]
) -> None:
    shards = entries(remote)
    cache = ShardCache(tmp_path, limit=2 * max(s.bytes for s in shards))
    for turn, which in enumerate((0, 1, 0, 2)):
        with cache.open(shards[which]) as file:
            # Times of use a second apart, whatever the file system's clock.
            os.utime(file.fileno(), (turn, turn))
    assert {path.stem for path in tmp_path.glob("[!.]*")} == {shards[0].sha256, shards[2].sha256}
    assert len(downloads) == 3


def test_what_else_is_in_the_folder_is_left_alone(remote: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.tar").write_bytes(bytes(1000))
    (tmp_path / "film.mp4.part").write_bytes(bytes(1000))
    (tmp_path / "photos").mkdir()
    shards = entries(remote)
    cache = ShardCache(tmp_path, limit=1)
    for shard in shards[:2]:
        cache.open(shard).close()
    names = {path.name for path in tmp_path.glob("[!.]*")}
    assert names == {"thesis.tar", "film.mp4.part", "photos", f"{shards[1].sha256}.tar"}


def test_another_users_shard_is_read_and_stays(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    shards = entries(remote)
    cache = ShardCache(tmp_path, limit=1)
    cache.open(shards[0]).close()
    theirs = tmp_path / f"{shards[0].sha256}.tar"
    unlink = Path.unlink
    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(
        Path, "unlink", lambda p, **how: refused() if p == theirs else unlink(p, **how)
    )
    for shard in shards[:2]:
        with cache.open(shard) as file:
            assert len(file.read()) == shard.bytes
    assert theirs.exists()


def test_a_shard_is_read_though_its_folder_became_read_only(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    shard = entries(remote)[0]
    cache = ShardCache(tmp_path, 2**20)
    cache.open(shard).close()
    monkeypatch.setattr(os, "utime", refused)
    with cache.open(shard) as file:
        assert len(file.read()) == shard.bytes


def test_who_has_a_shard_open_keeps_it(remote: str, tmp_path: Path) -> None:
    shards = entries(remote)
    cache = ShardCache(tmp_path, limit=1)
    with cache.open(shards[0]) as file:
        cache.open(shards[1]).close()
        assert not (tmp_path / f"{shards[0].sha256}.tar").exists()
        assert len(file.read()) == shards[0].bytes


def test_what_a_killed_download_left_is_swept(remote: str, tmp_path: Path) -> None:
    shards = entries(remote)
    (tmp_path / f"{shards[0].sha256}.tar.part").write_bytes(b"half")
    (tmp_path / f"{'0' * 64}.tar.part").write_bytes(b"half")
    for shard in shards[:2]:
        ShardCache(tmp_path, 2**30).open(shard).close()
    assert {path.name for path in tmp_path.glob("[!.]*")} == {f"{s.sha256}.tar" for s in shards[:2]}


def _open_all(root: str, folder: Path, limit: int, log: Path) -> None:
    download = cache_module._download

    def logged(shard: ShardEntry, part: object) -> None:
        with log.open("a") as file:
            file.write(f"{shard.name}\n")
        time.sleep(0.05)  # long enough for the others to come
        download(shard, part)  # type: ignore[arg-type]

    cache_module._download = logged  # type: ignore[assignment]
    for shard in entries(root):
        with ShardCache(folder, limit).open(shard) as file:
            assert len(file.read()) == shard.bytes


@pytest.mark.parametrize(("limit", "fetched"), [(2**30, 3), (1, None)])
def test_several_processes_share_a_cache(
    tmp_path: Path, build_tiny: Callable[..., Path], limit: int, fetched: int | None
) -> None:
    root = build_tiny(tmp_path / "data", (4, 4, 4))
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_open_all, args=(str(root), tmp_path / "cache", limit, log))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert [process.exitcode for process in processes] == [0] * 4
    if fetched is not None:
        assert len(log.read_text().splitlines()) == fetched
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_stream_collected_in_a_cycle_closes_its_shards(remote: str, tmp_path: Path) -> None:
    """Of what is collected together, Python may finalize a file before its owner."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        stream = ClipStream(remote, frames=1, cache=tmp_path)
        list(stream.samples())
        vars(stream)["itself"] = stream
        del stream
        gc.collect()
    assert [str(warning.message) for warning in told] == []
