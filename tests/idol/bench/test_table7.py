"""Tab. 7 of the paper, as `idol-bench model --table 7` prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from idol.bench.report import print_report
from idol.config.bench import ModelBenchConfig


@pytest.mark.slow  # half a minute: the paper's sizes
def test_the_document_has_what_the_command_prints() -> None:
    console = Console(record=True, width=160)
    print_report(ModelBenchConfig(presets=("sd14",), time=(), table=7, device="cpu"), console)
    rows = [line.split("│") for line in console.export_text().splitlines() if "│" in line]
    found = {row[1].strip(): [cell.strip() for cell in row[3:5]] for row in rows}
    assert found.keys() == {"LDM3D", "MM-Diffusion", "IDOL"}
    document = (Path(__file__).parents[3] / "docs/method.md").read_text()
    for system, (parameters, flops) in found.items():
        if system != "IDOL":
            assert f"| {parameters} |" in document
        assert f"{'ours' if system == 'IDOL' else system} {flops}" in document


@pytest.mark.slow
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
