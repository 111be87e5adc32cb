"""The next window's shards come while the current one's are read."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.errors import BadTar
from shards.files.storage import Store
from shards.stream import ClipStream
from shards.stream import cache as cache_module

SHARDS = 5


@pytest.fixture
def remote(memory_url: str, build_tiny: Callable[..., Path]) -> str:
    build_tiny(memory_url, (4,) * SHARDS)
    return memory_url


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Shards as they are downloaded in this process, and whether in the background."""
    found: list[tuple[str, bool]] = []
    download = cache_module._download

    def noted(shard: Any, part: Any) -> None:
        found.append((shard.name, threading.current_thread() is not threading.main_thread()))
        download(shard, part)

    monkeypatch.setattr(cache_module, "_download", noted)
    return found


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "shards"]


def wait() -> None:
    for thread in threads():
        thread.join(60)


def stream(remote: str, cache: Path, **options: Any) -> ClipStream:
    return ClipStream(remote, **{"frames": 1, "cache": cache, "window": 2, **options})


def planned(made: ClipStream, windows: int) -> list[str]:
    """Names of the shards of the first windows."""
    source = made._builder._catalogue.sources[0].shards
    order = made._order.sources[0].shards_from(0, 0, windows)
    return [source[index].name for window in order for index in window]


def test_two_windows_are_there_after_the_first_sample(
    remote: str, tmp_path: Path, downloads: list[tuple[str, bool]]
) -> None:
    made = stream(remote, tmp_path)
    samples = made.samples()
    next(samples)
    wait()
    assert {name for name, _ in downloads} == set(planned(made, 2))
    for _ in range(8):  # past the first window's eight clips
        next(samples)
    wait()
    assert {name for name, _ in downloads} == set(planned(made, 3))
    assert len(downloads) == SHARDS
    assert downloads[-1][1]


def test_windows_go_on_over_the_ends_of_epochs(remote: str, tmp_path: Path) -> None:
    order = stream(remote, tmp_path)._order.sources[0]
    (last, first) = order.shards_from(0, 2, 2)
    assert len(last) == 1  # of five shards in twos
    assert first == order.shards_from(1, 0, 1)[0]


def test_the_order_is_that_without_a_cache(remote: str, tmp_path: Path) -> None:
    expected = [sample.key for sample in ClipStream(remote, frames=1, window=2).samples()]
    assert [sample.key for sample in stream(remote, tmp_path).samples()] == expected


def test_no_more_than_the_cache_holds_is_downloaded_ahead(
    remote: str, tmp_path: Path, downloads: list[tuple[str, bool]]
) -> None:
    size = Store.at(remote).size("train/shard-00000.tar") or 0
    made = stream(remote, tmp_path, cache_limit=3 * size)
    next(made.samples())
    wait()
    assert {name for name, _ in downloads} == set(planned(made, 2)[:3])
    assert len(list(tmp_path.glob("*.tar"))) == 3


def test_no_thread_outlives_its_stream(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = [], threading.Event()

    def slow(shard: Any, part: Any) -> None:
        begun.append(shard.name)
        go_on.wait(60)
        raise BadTar("enough")

    made = stream(remote, tmp_path)
    monkeypatch.setattr(cache_module, "_download", slow)
    made._prefetcher.reached(made._order.place(0))  # type: ignore[union-attr]
    while not begun:
        time.sleep(0.01)
    assert len(threads()) == 1
    del made
    gc.collect()
    go_on.set()
    wait()
    assert threads() == []
    assert len(begun) == 1


def test_what_fails_in_the_background_is_told_when_it_is_read(remote: str, tmp_path: Path) -> None:
    made = stream(remote, tmp_path, max_bad=0)
    store, name = Store.at(remote), planned(made, 2)[2]
    store.write_bytes(name, bytes(100))
    samples = made.samples()
    keys = [next(samples).key for _ in range(8)]
    wait()
    assert len(set(keys)) == 8
    with pytest.raises(Exception, match=f"{name}: has checksum"):
        list(samples)
