"""`bench/annotators.py` measures an annotator beside its bare network, by clock and processor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "annotators.py"


@pytest.mark.slow
@pytest.mark.parametrize("annotator", ["lite", "densepose"])
def test_one_annotator_is_measured(footage, annotator):
    footage("demo.mp4")
    done = subprocess.run(
        [sys.executable, BENCH, "--annotators", annotator, "--frames", "1", "--rounds", "2"],
        # The CPU, wherever this runs.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout)
    (row,) = (line for line in done.stdout.splitlines() if line.startswith(f"│ {annotator} "))
    name, ours, bare, ratio, rounds, by_processor = (
        cell.strip() for cell in row.strip("│").split("│")
    )
    assert name == annotator
    assert all(float(value) > 0 for value in (ours, bare, ratio, by_processor, *rounds.split()))
    assert len(rounds.split()) == 2
    # Each is shown as soon as it is measured, too.
    shown = ", ".join((ours, bare, ratio, rounds, by_processor))
    assert f"measuring {annotator}: {shown}" in done.stdout
