"""A lock has one holder at a time, and none once that process has ended, however it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shards.files.locks import NoLocks, Taken, exclusive
from tests.processes import Start

HOLD = """
import subprocess, sys, time
from pathlib import Path
from shards.files.locks import exclusive
with exclusive(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    print(child.pid, flush=True)
    time.sleep(300)
"""


def count_up(folder: Path, times: int) -> None:
    for _ in range(times):
        with exclusive(folder / "lock"):
            count = int((folder / "count").read_text())
            (folder / "count").write_text(str(count + 1))


def test_nothing_is_lost_though_the_file_goes_and_comes(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=count_up, args=(tmp_path, 20)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert (tmp_path / "count").read_text() == "80"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_who_does_not_wait_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive(path), pytest.raises(Taken, match="lock"), exclusive(path, wait=False):
        pass
    with exclusive(path, wait=False):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    threads = [threading.Thread(target=count_up, args=(tmp_path, 20)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (tmp_path / "count").read_text() == "60"


def test_a_killed_holder_lets_go_though_its_child_lives(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "lock"
    holder = start([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(Taken), exclusive(path, wait=False):
            pass
        holder.kill()
        holder.wait()
        with exclusive(path, wait=False):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_process_does_not_hold_it_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    go = multiprocessing.get_context("fork").Event()
    child = multiprocessing.get_context("fork").Process(target=go.wait, args=(300,))
    with exclusive(path):
        child.start()
    try:
        with exclusive(path, wait=False):
            pass
    finally:
        go.set()
        child.join()


@pytest.mark.usefixtures("no_locks")
def test_where_there_are_no_locks_it_is_said_or_done_without(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(NoLocks, match=r"its file system has no locks.*/lock"), exclusive(path):
        pass
    with exclusive(path, optional=True), exclusive(path, optional=True):
        (tmp_path / "written").touch()
    with pytest.raises(RuntimeError, match="of the work"), exclusive(path, optional=True):
        raise RuntimeError("of the work")
