"""Worker processes: what is held stays as it is, deaths are told, nothing is left behind."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shards.errors import BadSample, WorkerLost
from shards.stream import ClipStream
from shards.stream import workers as pool_module
from shards.stream.workers import WorkerPool
from tests.shards.stream.conftest import H, W


def stream(path: Path, **options: Any) -> ClipStream:
    return ClipStream(path, **{"frames": 1, "batch_size": 4, "endless": True, **options})


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory, build_tiny: Callable[..., Path]) -> Path:
    """53 clips of nine levels of grey: a batch of one-frame samples is seldom like another."""
    return build_tiny(tmp_path_factory.mktemp("grey"), (9, 0, 20, 24), frames=9)


@pytest.fixture
def items(grey: Path) -> Any:
    """items(workers, prefetch, **options): of a pool that is closed at the end."""
    pools: list[WorkerPool] = []

    def make(workers: int = 2, prefetch: int = 2, path: Path = grey, **options: Any) -> Any:
        pools.append(WorkerPool(stream(path, **options), workers, prefetch))
        return iter(pools[-1])

    yield make
    for pool in pools:
        pool.close()


def addresses(batches: Any) -> list[int]:
    return [batch.rgb.ctypes.data for batch in batches]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_held_is_never_written_to(items: Any, grey: Path, workers: int) -> None:
    """Batches are dropped in random order, some only views of them kept, for long."""
    rng = random.Random(0)
    held: list[tuple[Any, np.ndarray]] = []
    pairs = zip(items(workers), stream(grey), strict=False)
    for batch, expected in itertools.islice(pairs, 150):
        np.testing.assert_array_equal(batch.rgb, expected.rgb)
        view = batch.rgb[rng.randrange(4)] if rng.random() < 0.5 else batch.rgb
        held.append((view, view.copy()))
        while len(held) > rng.choice((0, 1, 3, 12)):
            held.pop(rng.randrange(len(held)))
        for array, was in held:
            np.testing.assert_array_equal(array, was)


def test_keeping_everything_is_fine(items: Any, grey: Path) -> None:
    for batch, expected in zip(
        list(itertools.islice(items(), 40)), itertools.islice(stream(grey), 40), strict=True
    ):
        np.testing.assert_array_equal(batch.rgb, expected.rgb)
        assert batch.key == expected.key
        assert batch.frame_indices.tolist() == expected.frame_indices.tolist()


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (1, 3), (2, 2)])
def test_dropped_batches_leave_their_memory_to_others(
    items: Any, workers: int, prefetch: int
) -> None:
    seen: set[int] = set()
    for batch in itertools.islice(items(workers, prefetch), 60):
        seen.add(batch.rgb.ctypes.data)
    assert len(seen) <= workers * (prefetch + 2)


def test_batches_outlive_their_pool(grey: Path) -> None:
    pool = WorkerPool(stream(grey), 2, 2)
    kept = list(itertools.islice(pool, 5))
    pool.close()
    for batch, expected in zip(kept, itertools.islice(stream(grey), 5), strict=True):
        np.testing.assert_array_equal(batch.rgb, expected.rgb)


def test_no_worker_is_further_ahead_than_asked(items: Any, grey: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = ClipStream.share

    def logged(self: ClipStream, *turn: int) -> Any:
        for item in made(self, *turn):
            with log.open("a") as file:
                file.write("x")
            yield item

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipStream, "share", logged)
        batches = items(1, prefetch=3)
        taken = deque(itertools.islice(batches, 5), maxlen=1)
        deadline = time.monotonic() + 60
        while len(log.read_text()) < 5 + 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)  # it would go on here
    assert len(taken) == 1
    assert len(log.read_text()) == 5 + 3


def test_samples_come_through_as_well(items: Any, grey: Path) -> None:
    got = itertools.islice(items(2, batch_size=None), 20)
    for sample, expected in zip(got, stream(grey, batch_size=None), strict=False):
        assert (sample.key, sample.consumed) == (expected.key, expected.consumed)
        assert sample.rgb.shape == (1, H, W, 3)
        np.testing.assert_array_equal(sample.rgb, expected.rgb)


def test_the_last_batch_of_an_epoch_is_short(items: Any, grey: Path) -> None:
    sizes = [len(batch.rgb) for batch in items(2, endless=False)]
    assert sizes == [4] * 13 + [1]


@pytest.mark.parametrize("when", ["waiting", "at work"])
def test_a_killed_worker_is_an_error_and_no_hang(grey: Path, when: str) -> None:
    pool = WorkerPool(stream(grey), 2, 2)
    batches = iter(pool)
    next(batches)
    if when == "waiting":
        time.sleep(0.2)
    os.kill(pool._workers[1].process.pid or 0, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="ended by signal SIGKILL"):
        list(itertools.islice(batches, 50))
    pool.close()


def test_it_is_found_even_if_another_process_holds_the_pipe(
    grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_LOOK", 0.1)
    started = pool_module.WorkerPool._start
    other: list[int] = []

    def start(self: WorkerPool, *arguments: Any) -> None:
        context = pool_module.get_context("fork")
        pipe = context.Pipe

        def copied(duplex: bool) -> Any:
            ends = pipe(duplex)
            other.extend(os.dup(end.fileno()) for end in ends)  # as a fork just now would
            return ends

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(context), "Pipe", lambda _, duplex: copied(duplex))
            started(self, *arguments)

    monkeypatch.setattr(pool_module.WorkerPool, "_start", start)
    pool = WorkerPool(stream(grey), 1, 2)
    batches = iter(pool)
    next(batches)
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        list(itertools.islice(batches, 50))
    for end in other:
        os.close(end)
    pool.close()


def test_errors_that_are_not_ours_come_with_the_workers_traceback(
    items: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Exception):
        """Of a class that only this function knows: it cannot be pickled."""

    def broken(error: Exception) -> Callable[..., Any]:
        def raising(*_: Any) -> Any:
            raise error

        return raising

    for error, kind in ((ZeroDivisionError("here"), ZeroDivisionError), (Odd(), RuntimeError)):
        monkeypatch.setattr(ClipStream, "share", broken(error))
        with pytest.raises(kind) as caught:
            next(items())
        text = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
        assert "in raising" in text


def test_ours_come_as_they_are_and_at_their_turn(
    items: Any, tmp_path: Path, build_tiny: Any
) -> None:
    build_tiny(tmp_path, (8,))
    source = stream(tmp_path, shuffle=False, max_bad=0)
    tar = tmp_path / "train/shard-00000.tar"
    with tar.open("r+b") as file:
        file.seek(source._maker._catalogue.sources[0].shards[0].clips[6].offset)
        file.write(b"garbage!" * 20)
    batches = items(2, path=tmp_path, shuffle=False, max_bad=0)
    assert next(batches).key == tuple(f"d-v0-{i}" for i in range(4))
    with pytest.raises(BadSample, match=r"shard-00000\.tar: sample d-v0-6") as caught:
        next(batches)
    assert not hasattr(caught.value, "__notes__")


def test_it_works_from_a_thread_and_with_opencvs_threads(grey: Path) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((512, 512), np.float32), (0, 0), 9)  # starts them
    got: list[Any] = []

    def take() -> None:
        pool = WorkerPool(stream(grey), 2, 2)
        got.extend(batch.key for batch in itertools.islice(pool, 6))
        pool.close()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(60)
    assert cv2.getNumThreads() == 4
    cv2.setNumThreads(threads)
    assert got == [batch.key for batch in itertools.islice(stream(grey), 6)]


@pytest.mark.parametrize("signals", [[], [signal.SIGTERM], [signal.SIGKILL]])
def test_the_end_of_the_program_is_the_end_of_its_workers(
    grey: Path, signals: list[signal.Signals]
) -> None:
    """By itself with an iterator at hand, by a cluster's notice to all, or by force to it alone."""
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # quicker
        "from shards.stream import ClipStream\n"
        "from shards.stream.workers import WorkerPool\n"
        "pool = WorkerPool(ClipStream(sys.argv[1], frames=1, endless=True), 2, 2)\n"
        "iterator = iter(pool)\n"
        "next(iterator)\n"
        "print(*(w.process.pid for w in pool._workers), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(grey)], stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        workers = process.stdout.readline().split()
        assert len(workers) == 2
        if signals == [signal.SIGTERM]:
            os.killpg(process.pid, signal.SIGTERM)
        elif signals:
            process.kill()
        else:
            process.stdin.close()
        assert process.wait(30) == (-signals[0] if signals else 0)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{int(pid)}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
