"""A process takes what it may use of its machine, and no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shards.machine import usable_cores, usable_memory


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of 64 cores, of which this process may run on 16, and 512 GiB; a folder for its limits."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    pages = {"SC_PAGE_SIZE": 1 << 12, "SC_PHYS_PAGES": 512 << 18}
    monkeypatch.setattr(os, "sysconf", pages.get)
    quota = (str(tmp_path / "cpu.max"),) * 2
    monkeypatch.setattr("shards.machine._QUOTAS", (quota,))
    monkeypatch.setattr("shards.machine._MEMORY_LIMITS", (str(tmp_path / "memory.max"),))
    return tmp_path


def test_without_limits_it_is_what_the_process_is_bound_to(machine: Path) -> None:
    assert usable_cores() == 16
    assert usable_memory() == 512 << 30


@pytest.mark.parametrize(
    ("quota", "cores"), [("400000 100000\n", 4), ("max 100000\n", 16), ("9999999 100000\n", 16)]
)
def test_a_container_has_the_cores_of_its_quota(machine: Path, quota: str, cores: int) -> None:
    (machine / "cpu.max").write_text(quota)
    assert usable_cores() == cores


@pytest.mark.parametrize(
    ("limit", "gibibytes"), [(f"{24 << 30}\n", 24), ("max\n", 512), ("9223372036854771712\n", 512)]
)
def test_a_container_has_the_memory_of_its_limit(machine: Path, limit: str, gibibytes: int) -> None:
    (machine / "memory.max").write_text(limit)
    assert usable_memory() == gibibytes << 30
