"""Scripts in `bench/`: what somebody gives that is not there is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABSENT = "/absent"
ARGUMENTS = {
    "codec": ("--shards", ABSENT),
    "contact_sheets": (ABSENT, ABSENT, "--out", "out"),
    "depth_errors": (ABSENT, ABSENT),
    "depth_limits": ("--learnt", ABSENT, "--held-out", ABSENT),
    "depth_scores": ("--shards", ABSENT, "--val", ABSENT, "--out", "out"),
    "keep_background": ("--shards", ABSENT),
    "long_video": ("--shards", ABSENT),
    "tiny_runs": (ABSENT, "--shards", ABSENT, "--val", ABSENT, "--out", "out"),
    "video_index": (ABSENT,),
    "watermark": (f"a={ABSENT}",),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_absent_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), *ARGUMENTS[name]]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{name}.py: ")
    assert ABSENT in line
    assert not list(tmp_path.iterdir())
