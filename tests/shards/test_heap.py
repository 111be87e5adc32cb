"""Memory that was freed stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shards.heap import keep_freed_memory

# Faults while 16 MB are made anew, twenty times, after the first time.
FAULTS = """
import resource, sys
from shards.heap import keep_freed_memory
if "keep" in sys.argv: keep_freed_memory({})
made = b"x" * 2**24
del made
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    made = b"x" * 2**24
    del made
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    command = [sys.executable, "-c", FAULTS, *arguments]
    environ = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_no_page_is_cleared_again() -> None:
    if not keep_freed_memory({}):
        pytest.skip("another C library")
    pages = 20 * 2**24 // 4096
    assert faults("keep") < pages / 20


def test_the_users_own_setting_stays() -> None:
    assert not keep_freed_memory({"MALLOC_TRIM_THRESHOLD_": "131072"})


# How often the collector ran while a module with many objects was imported.
COLLECTIONS = """
import gc, sys
from contextlib import nullcontext
from shards.heap import made_to_stay
runs = []
gc.callbacks.append(lambda phase, info: runs.append(phase))
with made_to_stay() if "stay" in sys.argv else nullcontext():
    import tyro
print(len(runs), gc.get_freeze_count() > 0, gc.isenabled())
"""


@pytest.mark.parametrize("stay", [True, False])
def test_modules_are_not_looked_through(stay: bool) -> None:
    command = [sys.executable, "-c", COLLECTIONS, *(["stay"] if stay else [])]
    environ = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    runs, frozen, enabled = done.stdout.split()
    assert (int(runs) == 0, frozen, enabled) == (stay, str(stay), "True")
