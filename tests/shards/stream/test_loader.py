"""With any number of workers the batches are the same, and nothing is left behind."""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shards.errors import BadSample
from shards.stream import ClipBatch, ClipStream
from shards.stream.loader import ClipLoader
from shards.stream.sample_builder import SampleBuilder
from shards.threads import map_ahead
from tests.processes import until_there
from tests.shards.stream.test_damage import damage

torch = pytest.importorskip("torch")

SIZE = 53  # clips in `tiny`
WORKERS = [0, 1, 3]


def stream(path: Path, **options: Any) -> ClipStream:
    return ClipStream(path, **{"frames": 1, "endless": True, **options})


def keys(items: Any, n: int | None = None) -> list[Any]:
    return [item.key for item in itertools.islice(items, n)]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


def children() -> str:
    """Processes that this one started, where the system tells."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return listed.read_text() if listed.exists() else ""


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory, build_tiny: Callable[..., Path]) -> Path:
    """53 clips of nine levels of grey: a batch of one-frame samples is seldom like another."""
    return build_tiny(tmp_path_factory.mktemp("grey"), (9, 0, 20, 24), frames=9)


@pytest.mark.parametrize("workers", WORKERS)
def test_any_number_of_workers_gives_the_same_batches(grey: Path, workers: int) -> None:
    batches = list(itertools.islice(ClipLoader(stream(grey), 4, workers=workers), 30))
    expected = list(itertools.islice(stream(grey).batches(4), 30))
    for batch, other in zip(batches, expected, strict=True):
        assert (batch.key, batch.consumed) == (other.key, other.consumed)
        assert batch.positions == other.positions
        assert isinstance(batch, ClipBatch)
        assert batch.rgb.dtype == torch.uint8
        assert (batch.rgb.numpy() == other.rgb).all()


@pytest.mark.parametrize(("before", "after"), [(3, 1), (0, 3), (1, 0)])
def test_stopped_with_some_workers_it_resumes_with_others(
    tiny: Path, before: int, after: int
) -> None:
    loader = ClipLoader(stream(tiny), 4, workers=before)
    begun = keys(loader, 7)
    assert loader.state_dict() == {"consumed": 28}  # not what the workers have prefetched
    resumed = ClipLoader(stream(tiny), 4, workers=after)
    resumed.load_state_dict(loader.state_dict())
    assert begun + keys(resumed, 9) == keys(stream(tiny).batches(4), 16)


@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_batches_are_copies_that_leave_no_memory_held(
    tiny: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: list[int] = []

    def pin(tensor: Any) -> Any:
        source.append(tensor.data_ptr())
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)  # the real one needs CUDA
    loader = ClipLoader(stream(tiny, modalities=["rgb"]), 4, workers=workers, pin_memory=True)
    batches = list(itertools.islice(loader, 20))
    for batch, expected in zip(batches, itertools.islice(stream(tiny).batches(4), 20), strict=True):
        assert batch.key == expected.key
        assert (batch.rgb.numpy() == expected.rgb).all()
    images = set(source[::2])  # every other one is `frame_indices`
    assert len(images) <= 5
    assert not images & {batch.rgb.data_ptr() for batch in batches}


def test_mistakes_are_told_at_once(tiny: Path) -> None:
    for options in ({"workers": -1}, {"workers": 1, "prefetch": 0}):
        with pytest.raises(ValueError, match="workers must be 0 or more and prefetch 1 or more"):
            ClipLoader(stream(tiny), 4, **options)
    with pytest.raises(ValueError, match="at least 1 sample, not 0"):
        ClipLoader(stream(tiny), 0)


@pytest.mark.parametrize("workers", [0, 3])
def test_epochs_follow_each_other(tiny: Path, workers: int) -> None:
    loader = ClipLoader(stream(tiny, endless=False), 4, workers=workers)
    plain = stream(tiny, endless=False)
    for epoch in (1, 2):
        assert keys(loader) == keys(plain.batches(4))
        assert loader.state_dict() == {"consumed": epoch * SIZE}


def test_the_last_batch_of_an_epoch_is_short(grey: Path) -> None:
    batches = stream(grey, endless=False).batches(4, workers=2)
    assert [len(batch.rgb) for batch in batches] == [4] * 13 + [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_held_is_never_written_to(grey: Path, workers: int) -> None:
    """Batches are dropped in random order, some only views of them kept, for long."""
    rng = random.Random(0)
    held: list[tuple[Any, np.ndarray]] = []
    pairs = zip(stream(grey).batches(4, workers=workers), stream(grey).batches(4), strict=False)
    for batch, expected in itertools.islice(pairs, 150):
        np.testing.assert_array_equal(batch.rgb, expected.rgb)
        view = batch.rgb[rng.randrange(4)] if rng.random() < 0.5 else batch.rgb
        held.append((view, view.copy()))
        while len(held) > rng.choice((0, 1, 3, 12)):
            held.pop(rng.randrange(len(held)))
        for array, was in held:
            np.testing.assert_array_equal(array, was)


def test_batches_may_be_kept_and_outlive_their_workers(grey: Path) -> None:
    kept = list(itertools.islice(stream(grey).batches(4, workers=2), 40))
    assert threads() == []
    for batch, expected in zip(kept, itertools.islice(stream(grey).batches(4), 40), strict=True):
        np.testing.assert_array_equal(batch.rgb, expected.rgb)
        assert batch.key == expected.key
        assert batch.frame_indices.tolist() == expected.frame_indices.tolist()


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (1, 3), (2, 2)])
def test_dropped_batches_leave_their_memory_to_others(
    grey: Path, workers: int, prefetch: int
) -> None:
    seen: set[int] = set()
    batches = stream(grey).batches(4, workers=workers, prefetch=prefetch)
    for batch in itertools.islice(batches, 60):
        seen.add(batch.rgb.ctypes.data)
    assert len(seen) <= workers * prefetch + 3


def test_no_worker_is_further_ahead_than_asked(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    build = SampleBuilder.batch

    def logged(self: SampleBuilder, turn: Any) -> ClipBatch:
        built.append(turn.consumed)
        return build(self, turn)

    monkeypatch.setattr(SampleBuilder, "batch", logged)
    batches = stream(grey).batches(4, workers=1, prefetch=3)
    taken = deque(itertools.islice(batches, 5), maxlen=1)
    until_there(lambda: len(built) >= 5 + 3)
    time.sleep(0.3)  # it would go on here
    assert len(taken) == 1
    assert len(built) == 5 + 3


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_name_shard_and_key(tmp_path: Path, build_tiny: Any, workers: int) -> None:
    build_tiny(tmp_path, (6,))
    for key in ("d-v0-1", "d-v0-4"):
        damage(tmp_path, key)
    loader = ClipLoader(stream(tmp_path, max_bad=1), 4, workers=workers)
    with pytest.raises(BadSample, match=r"2 clips cannot be read, .*shard-00000\.tar: sample d-v0"):
        list(loader)
    fine = ClipLoader(stream(tmp_path, endless=False), 4, workers=workers)
    list(fine)
    assert len(fine.stream.skipped) == 2
    assert threads() == []


def test_damage_is_counted_in_the_order_of_batches(tmp_path: Path, build_tiny: Any) -> None:
    build_tiny(tmp_path, (40,))
    for number in (3, 11, 12, 25, 38):
        damage(tmp_path, f"d-v0-{number}")
    found = []
    for workers in (0, 4):
        made = stream(tmp_path, max_bad=4)
        taken: list[Any] = []
        with pytest.raises(BadSample, match="5 clips cannot be read") as caught:
            taken.extend(batch.key for batch in made.batches(2, workers=workers))
        found.append((taken, made.skipped, str(caught.value), made.state_dict()))
    assert found[0] == found[1]


def test_an_error_comes_at_its_turn(tmp_path: Path, build_tiny: Any) -> None:
    build_tiny(tmp_path, (8,))
    damage(tmp_path, "d-v0-6")
    batches = stream(tmp_path, shuffle=False, max_bad=0).batches(4, workers=2)
    assert next(batches).key == tuple(f"d-v0-{i}" for i in range(4))
    with pytest.raises(BadSample, match=r"shard-00000\.tar: sample d-v0-6"):
        next(batches)


def test_a_worker_ends_though_ctrl_c_came_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = []
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        begun.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(map_ahead(str, range(3), 1, 1, "begun"))
    begun[0].join(60)
    assert not begun[0].is_alive()


def test_a_loop_that_was_left_may_end_in_its_own_thread() -> None:
    """Python collects garbage wherever it happens to run, and a thread cannot wait for itself."""
    left, threads = threading.Event(), []

    def build(turn: int) -> Any:
        threads.append(threading.current_thread())
        if turn:
            left.wait()
            gc.collect()
        return turn

    def leave() -> None:
        batches: Any = map_ahead(build, range(3), 1, 1, "left")
        assert next(batches) == 0
        circle = [batches]
        circle.append(circle)

    leave()
    left.set()
    threads[0].join(60)
    assert not threads[0].is_alive()


def test_errors_that_are_not_ours_come_with_the_workers_traceback(
    grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any) -> Any:
        raise ZeroDivisionError("here")

    monkeypatch.setattr(SampleBuilder, "batch", raising)
    with pytest.raises(ZeroDivisionError) as caught:
        next(stream(grey).batches(4, workers=2))
    assert "in raising" in "".join(traceback.format_exception(caught.value))


def test_it_works_from_a_thread_and_with_opencvs_threads(grey: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((512, 512), np.float32), (0, 0), 9)  # starts them
    got: list[Any] = []
    take = threading.Thread(target=lambda: got.extend(keys(stream(grey).batches(4, workers=2), 6)))
    take.start()
    take.join(60)
    assert cv2.getNumThreads() == 4
    cv2.setNumThreads(before)
    assert got == keys(stream(grey).batches(4), 6)


def test_leaving_the_loop_ends_the_workers_which_are_threads(tiny: Path) -> None:
    before = children()
    batches = iter(ClipLoader(stream(tiny), 4, workers=2))
    next(batches)
    assert 1 <= len(threads()) <= 2
    assert children() == before
    batches.close()  # type: ignore[attr-defined]
    assert threads() == []
    for _ in ClipLoader(stream(tiny), 4, workers=2):
        break
    assert threads() == []


def test_dropping_a_batch_runs_nothing_in_which_ctrl_c_would_be_lost(tiny: Path) -> None:
    # What a Python function raises while an object goes is printed and forgotten.
    iterator = iter(ClipLoader(stream(tiny), 4, workers=1))
    batch = next(iterator)
    next(iterator)  # nothing but `batch` holds the first one any more
    calls: list[str] = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    batch = None
    sys.setprofile(None)
    assert (batch, calls) == (None, [])


@pytest.mark.parametrize("sent", [None, signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_program_is_the_end_of_its_workers(
    grey: Path, sent: signal.Signals | None
) -> None:
    """By itself with an iterator at hand, by Ctrl-C, or by a cluster's notice."""
    program = (
        "import itertools, signal, sys\n"
        "sys.modules['torch'] = None\n"  # quicker
        # Tests in the background are made to ignore it, and programs inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from shards.stream import ClipStream\n"
        "batches = ClipStream(sys.argv[1], frames=1, endless=True).batches(4, workers=2)\n"
        "for number in itertools.count():\n"
        "    next(batches)\n"
        "    if number == 3: print('ready', flush=True)\n"
        "    if number == 9 and sys.argv[2] == 'None': break\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(grey), str(sent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        if sent is not None:
            process.send_signal(sent)
        try:
            process.wait(100)
        finally:
            process.kill()
        error = process.stderr.read()
    if sent is None:
        assert (process.returncode, error) == (0, b"")
    elif sent == signal.SIGINT:
        assert process.returncode != 0
        assert error.rstrip().endswith(b"KeyboardInterrupt")
    else:
        assert process.returncode == -sent


def test_ctrl_c_finds_no_lock_that_it_could_leave_taken(tiny: Path) -> None:
    """An interrupt that comes in a Python function which takes a lock leaves it taken for good."""
    batches = stream(tiny).batches(4, workers=2)
    next(batches)  # starts the threads
    calls: set[str] = set()

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call":
            calls.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    for _ in itertools.islice(batches, 12):
        pass
    batches.close()  # type: ignore[attr-defined]
    sys.setprofile(None)
    assert "shards.threads.Answer.take" in calls
    assert not {c for c in calls if c.endswith(("Condition.__enter__", ".acquire", ".wait"))}
