"""Tab. 7 of the paper, as `idol-bench model --table 7` prints it."""

from __future__ import annotations

from rich.console import Console

from idol.bench.report import print_report
from idol.config.commands import ModelBenchConfig


def test_table_7_counts_all_systems_and_times_those_that_fit() -> None:
    console = Console(record=True, width=160)
    options = ModelBenchConfig(
        presets=("tiny",), time=("tiny",), table=7, device="cpu", frames=2, size=8
    )
    print_report(options, console)
    text = console.export_text()
    for system, count in (("LDM3D", "4,675,120"), ("MM-Diffusion", "9,573,088"), ("IDOL", "4,79")):
        [row] = [line for line in text.splitlines() if system in line]
        assert count in row
    assert "without guidance" in text
    assert "seconds" in text
