"""`bench/driver.py` measures what it says: each part runs, and its clips all arrive."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "driver.py"


def measured(part, *arguments):
    done = subprocess.run(
        [sys.executable, str(BENCH), part, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout)
    rows = (line.strip().split("  ", 1) for line in done.stdout.splitlines())
    return {name: value.strip() for name, value in rows}


@pytest.mark.slow
def test_all_clips_of_a_large_plan_come_through_one_driver():
    found = measured("rate", "--clips", 50_000)
    assert found["clips, shards"] == "50000, 783"
    assert any(name.startswith("CPU, driver") for name in found)


@pytest.mark.slow
def test_a_large_plan():
    assert measured("plan", "--clips", 50_000)["clips, shards, tasks"] == "50000, 783, 10000"


@pytest.mark.slow
def test_listing_and_its_requests():
    found = measured("listing", "--files", 130)
    # Threads of the bench's own process, and processes that are there.
    assert found["files a second, 1 processes"].endswith(" 0.00 not in this")
    assert not found["files a second, 2 processes"].endswith(" 0.00 not in this")
    assert found["requests of 100 files, cold"].count("GET")
    assert "PUT" not in found["requests of 100 files, cold"]


@pytest.mark.slow
def test_requests_of_a_build():
    found = measured("requests")
    assert found["shards, bytes of one"].startswith("4, ")
    assert "PUT" in found["requests"]
