"""Through torch's worker processes nothing changes, and nothing is left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from shards.errors import BadSample  # noqa: E402
from shards.stream import ClipBatch, ClipStream  # noqa: E402
from shards.stream.loader import ClipLoader, to_tensors  # noqa: E402
from tests.shards.stream.test_damage import damage  # noqa: E402

SIZE = 53  # clips in `tiny`
WORKERS = [0, 1, 3]

# Three workers on two cores are slow, and right.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")


def stream(path: Path, **options: Any) -> ClipStream:
    return ClipStream(path, **{"frames": 1, "batch_size": 4, "endless": True, **options})


def keys(items: Any, n: int | None = None) -> list[Any]:
    return [item.key for item in itertools.islice(items, n)]


@pytest.mark.parametrize("workers", WORKERS)
def test_any_number_of_workers_gives_the_same_batches(tiny: Path, workers: int) -> None:
    batches = list(itertools.islice(ClipLoader(stream(tiny), workers=workers), 30))
    expected = list(itertools.islice(stream(tiny), 30))
    for batch, other in zip(batches, expected, strict=True):
        assert (batch.key, batch.consumed) == (other.key, other.consumed)
        assert isinstance(batch, ClipBatch)
        assert batch.rgb.dtype == torch.uint8
        assert (batch.rgb.numpy() == other.rgb).all()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_stream_drops_into_a_loop_of_ones_own(tiny: Path, workers: int) -> None:
    for options in ({"batch_size": None}, {"batch_size": 4}):
        loader = DataLoader(
            stream(tiny, endless=False, **options), batch_size=None, num_workers=workers,
            collate_fn=to_tensors,
        )  # fmt: skip
        assert keys(loader) == keys(stream(tiny, endless=False, **options))


@pytest.mark.parametrize(("before", "after"), [(3, 1), (0, 3), (1, 0)])
def test_stopped_with_some_workers_it_goes_on_with_others(
    tiny: Path, before: int, after: int
) -> None:
    loader = ClipLoader(stream(tiny), workers=before)
    begun = keys(loader, 7)
    assert loader.state_dict() == {"consumed": 28}  # not what the workers have prefetched
    resumed = ClipLoader(stream(tiny), workers=after)
    resumed.load_state_dict(loader.state_dict())
    assert begun + keys(resumed, 9) == keys(stream(tiny), 16)


@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_batches_are_copies_that_leave_no_block_held(
    tiny: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: list[int] = []

    def pin(tensor: Any) -> Any:
        source.append(tensor.data_ptr())
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)  # the real one needs CUDA
    loader = ClipLoader(stream(tiny, modalities=["rgb"]), workers=workers, pin_memory=True)
    batches = list(itertools.islice(loader, 20))
    for batch, expected in zip(batches, itertools.islice(stream(tiny), 20), strict=True):
        assert batch.key == expected.key
        assert (batch.rgb.numpy() == expected.rgb).all()
    pictures = set(source[::2])  # every other one is `frame_indices`
    assert len(pictures) <= 4
    assert not pictures & {batch.rgb.data_ptr() for batch in batches}


def test_mistakes_are_told_at_once(tiny: Path) -> None:
    for options in ({"workers": -1}, {"workers": 1, "prefetch": 0}):
        with pytest.raises(ValueError, match="workers must be 0 or more and prefetch 1 or more"):
            ClipLoader(stream(tiny), **options)


@pytest.mark.parametrize("workers", [0, 3])
def test_epochs_follow_each_other(tiny: Path, workers: int) -> None:
    loader = ClipLoader(stream(tiny, endless=False), workers=workers)
    plain = stream(tiny, endless=False)
    for epoch in (1, 2):
        assert keys(loader) == keys(plain)
        assert loader.state_dict() == {"consumed": epoch * SIZE}


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's own
@pytest.mark.parametrize("workers", [0, 2])
def test_torchdatas_loader_saves_and_restores_its_workers(tiny: Path, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader

    def loader() -> Any:
        return stateful(stream(tiny), batch_size=None, num_workers=workers, collate_fn=to_tensors)

    first = loader()
    begun = keys(first, 7)
    second = loader()
    second.load_state_dict(first.state_dict())
    assert begun + keys(second, 6) == keys(stream(tiny), 13)


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_workers_name_shard_and_key(
    tmp_path: Path, build_tiny: Any, workers: int
) -> None:
    build_tiny(tmp_path, (6,))
    for key in ("d-v0-1", "d-v0-4"):
        damage(tmp_path, key)
    loader = ClipLoader(stream(tmp_path, max_bad=1), workers=workers)
    with pytest.raises(BadSample, match=r"2 clips cannot be read, .*shard-00000\.tar: sample d-v0"):
        list(loader)
    fine = ClipLoader(stream(tmp_path, endless=False), workers=workers)
    list(fine)
    assert len(fine.stream.skipped) == 2  # told by the workers


def children(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def test_leaving_the_loop_ends_the_workers(tiny: Path) -> None:
    before = children(os.getpid())
    iterator = iter(ClipLoader(stream(tiny), workers=2))
    next(iterator)
    assert len(children(os.getpid()) - before) >= 2
    iterator.close()
    assert not children(os.getpid()) - before


def test_dropping_a_batch_runs_nothing_in_which_ctrl_c_would_be_lost(tiny: Path) -> None:
    # What a Python function raises while an object goes is printed and forgotten.
    iterator = iter(ClipLoader(stream(tiny), workers=1))
    batch = next(iterator)
    next(iterator)  # nothing but `batch` holds the first one any more
    calls: list[str] = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    batch = None
    sys.setprofile(None)
    iterator.close()
    assert (batch, calls) == (None, [])


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no shared memory to look at")
def test_ctrl_c_leaves_no_processes_and_no_shared_memory(tiny: Path) -> None:
    program = (
        "import signal, sys\n"
        # Tests in the background are made to ignore it, and programs inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from shards.stream import ClipStream\n"
        "from shards.stream.loader import ClipLoader\n"
        "stream = ClipStream(sys.argv[1], frames=1, batch_size=4, endless=True)\n"
        "for number, batch in enumerate(ClipLoader(stream, workers=2)):\n"
        "    if number == 3: print('ready', flush=True)\n"
    )
    before = set(os.listdir("/dev/shm"))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tiny)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        workers = children(process.pid)
        assert len(workers) >= 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        try:
            assert process.wait(30) != 0
        finally:
            process.kill()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    mine = {name for name in set(os.listdir("/dev/shm")) - before if str(process.pid) in name}
    assert mine == set()
