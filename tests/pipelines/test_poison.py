"""Poisonous clips: each is found and quarantined with its reason, and every other one arrives."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.build import build
from pipelines.compute import Compute
from pipelines.guard import MAX_DEATHS
from pipelines.reporter import Reporter
from pipelines.tracebacks import first_dump, of_dump
from shards.reader import open_dataset
from tests.pipelines.conftest import tree
from tests.pipelines.poison import Poisoned, poisoned_plan
from tests.processes import until_there

ROOT = Path(__file__).parents[2]
DEEDS = ((9, "raise"), (13, "exit"), (17, "kill"), (21, "crash"), (25, "memory"), (29, "hang"))
KINDS = {
    "videos-v1-8": "error",
    "videos-v1-12": "killed",
    "videos-v1-16": "killed",
    "videos-v1-20": "killed",
    "videos-v1-24": "memory",
    "videos-v1-28": "timeout",
}


def make(plan, out, workers, clip_timeout=120.0):
    compute = Compute(workers=workers, clip_timeout=clip_timeout, worker_memory=1.0)
    return build(plan, str(out), Reporter(), compute=compute)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_each_is_quarantined_and_every_other_clip_arrives(tmp_path, workers, request):
    if workers:
        request.getfixturevalue("ray_is_up")
    plan = poisoned_plan(tmp_path, Poisoned(()), Poisoned(DEEDS), Poisoned(()))
    # Long enough for a clip that does not hang on a machine that is busy.
    summary = make(plan, tmp_path / "out", workers, clip_timeout=10.0)
    found = {q.key: q for q in summary.quarantined}
    assert {key: q.kind for key, q in found.items()} == KINDS
    assert found["videos-v1-8"].reason == "ValueError: the frame is odd"
    assert "tests/pipelines/poison.py" in found["videos-v1-8"].traceback
    assert str(tmp_path) not in found["videos-v1-8"].traceback
    assert found["videos-v1-12"].reason == f"killed its worker {MAX_DEATHS} times (exit code 13)"
    assert "SIGKILL" in found["videos-v1-16"].reason
    assert "SIGSEGV" in found["videos-v1-20"].reason
    assert "in string_at" in found["videos-v1-20"].traceback
    assert found["videos-v1-24"].reason.startswith("MemoryError")
    assert "took longer than 10 s (--clip-timeout)" in found["videos-v1-28"].reason
    assert "in read" in found["videos-v1-28"].traceback
    totals = summary.info.totals
    assert (totals["planned"], totals["clips"], totals["quarantined"]) == (24, 18, 6)
    assert totals["kinds"] == {"error": 1, "killed": 3, "memory": 1, "timeout": 1}
    assert sum(totals["reasons"].values()) == 6
    assert len(open_dataset(tmp_path / "out").entries) == 18


@pytest.mark.slow
def test_a_survey_that_kills_costs_its_video_alone(tmp_path):
    survey = Poisoned(tuple((index, "exit") for index in range(32)))
    plan = poisoned_plan(tmp_path, survey, Poisoned(()))
    summary = make(plan, tmp_path / "out", 0)
    assert len(summary.quarantined) == 8
    reasons = {q.reason for q in summary.quarantined}
    assert reasons == {
        f"the survey of its shot killed its worker {MAX_DEATHS} times (exit code 13)"
    }
    assert summary.info.totals["clips"] == 8


@pytest.mark.slow
@pytest.mark.parametrize(("deed", "kind"), [("hang", "timeout"), ("memory", "memory")])
def test_a_frame_that_is_read_ahead_costs_its_own_clip(tmp_path, deed, kind):
    """Nothing else fails in the task, whose clips would be made one by one from then on."""
    plan = poisoned_plan(tmp_path, Poisoned(((9, deed),)), clips_per_shard=8)
    summary = make(plan, tmp_path / "out", 0, clip_timeout=10.0)
    (failed,) = summary.quarantined
    assert (failed.key, failed.kind) == ("videos-v0-8", kind)
    called, *_ = failed.traceback.splitlines()
    assert called.startswith("preprocess/frames.py:")
    assert called.endswith(" in read_each")
    assert summary.info.totals["clips"] == 7


def test_clips_are_told_once_each_whatever_dies(tmp_path):
    class Counting(Reporter):
        count = failed = 0

        def made(self, clips, quarantined):
            self.count += clips
            self.failed += len(quarantined)

    counting = Counting()
    plan = poisoned_plan(tmp_path, Poisoned(((5, "raise"), (17, "kill"))))
    build(plan, str(tmp_path / "out"), counting, compute=Compute(workers=0))
    assert (counting.count, counting.failed) == (8, 2)


@pytest.mark.slow
def test_a_process_that_is_killed_from_outside_costs_nothing(tmp_path):
    class Killing(Reporter):
        count = killed = 0

        def made(self, clips, quarantined):
            self.count += clips
            if self.killed < 3:
                children = subprocess.run(
                    ["pgrep", "-P", str(os.getpid()), "-f", "pipelines.child"],
                    capture_output=True,
                    text=True,
                    check=False,
                ).stdout.split()
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
                self.killed += len(children)

    killing = Killing()
    plan = poisoned_plan(tmp_path, Poisoned(()))
    summary = build(plan, str(tmp_path / "out"), killing, compute=Compute(workers=0))
    assert killing.killed >= 3
    assert killing.count == 8
    assert not summary.quarantined
    build(plan, str(tmp_path / "calm"), Reporter(), compute=Compute(workers=0))
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


HANGING = """
import sys
from pathlib import Path
from pipelines.build import build
from pipelines.compute import Compute
from pipelines.reporter import Reporter
from tests.pipelines.poison import Poisoned, poisoned_plan
out = Path(sys.argv[1])
plan = poisoned_plan(out, Poisoned(((17, "hang"),)))
build(plan, str(out), Reporter(), compute=Compute(workers=0))
"""


def test_a_hanging_process_does_not_outlive_a_killed_build(tmp_path, start):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    driver = start([sys.executable, "-c", HANGING, str(tmp_path / "out")], env=environment)
    until_there(lambda: list((tmp_path / "out").glob("train/*.json")), driver)
    children = subprocess.run(
        ["pgrep", "-P", str(driver.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert children
    driver.kill()
    driver.wait()
    until_there(lambda: not any(os.path.exists(f"/proc/{child}") for child in children))


def test_a_dump_is_read_innermost_last():
    dump = (
        "Fatal Python error: Segmentation fault\n\n"
        "Thread 0x1 (most recent call first):\n"
        '  File "/usr/lib/python3.11/threading.py", line 3 in wait\n\n'
        "Current thread 0x2 (most recent call first):\n"
        '  File "/home/u/.venv/lib/python3.11/site-packages/cv2/a.py", line 7 in resize\n'
        '  File "/home/u/src/mine/reader.py", line 5 in read\n'
    )
    assert of_dump(dump, crashed=True).splitlines() == [
        "mine/reader.py:5 in read",
        "cv2/a.py:7 in resize",
        "Fatal Python error: Segmentation fault",
    ]
    assert of_dump("", crashed=False) == ""


def test_a_dump_is_whole_when_the_next_begins():
    dump = "Thread 0x1 (most recent call first):\n  in wait\n\nCurrent thread 0x2:\n  in read\n"
    for end in range(len(dump) + len("Thread 0x1 (most recent call first):\n")):
        assert first_dump((dump + dump)[:end]) is None
    assert first_dump(dump + dump) == dump


def test_what_is_waited_for_is_in_the_thread_that_reads():
    waits = (
        "Current thread 0x2 (most recent call first):\n"
        f'  File "{ROOT}/pipelines/window.py", line 9 in take\n'
        f'  File "{ROOT}/pipelines/worker.py", line 8 in run\n'
        f'  File "{ROOT}/pipelines/child.py", line 7 in _serve\n'
    )
    reads = (
        "Thread 0x1 (most recent call first):\n"
        '  File "/usr/lib/python3.11/site-packages/av/a.py", line 3 in decode\n'
        f'  File "{ROOT}/preprocess/frames.py", line 2 in read_each\n'
        f'  File "{ROOT}/shards/threads.py", line 1 in _serve\n'
        '  File "/usr/lib/python3.11/threading.py", line 4 in run\n\n'
    )
    here = "preprocess/frames.py:2 in read_each\nav/a.py:3 in decode"
    assert of_dump(reads + waits, crashed=False) == here
    one_thread = reads.splitlines()[:3] + waits.splitlines()[1:]
    assert of_dump("\n".join(one_thread), crashed=False) == here


def test_bad_limits_are_one_line():
    for bad in ({"clip_timeout": -1}, {"clip_timeout": float("nan")}, {"worker_memory": 0.0}):
        with pytest.raises(Exception, match=next(iter(bad))):
            Compute(**bad)


def test_traceback_and_kind_come_back_from_the_manifest(tmp_path):
    plan = poisoned_plan(tmp_path, Poisoned(((1, "raise"),)))
    make(plan, tmp_path / "out", 0)
    manifest = json.loads((tmp_path / "out/train/shard-00000.json").read_text())
    (bad,) = manifest["quarantined"]
    assert bad["kind"] == "error"
    (read,) = [q for s in open_dataset(tmp_path / "out").shards for q in s.manifest.quarantined]
    assert (read.kind, read.traceback) == (bad["kind"], bad["traceback"])
