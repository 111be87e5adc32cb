"""`idol-bench`: counts agree with the method, and the command answers at once."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from idol.bench.cli import main
from idol.bench.measure import measure
from idol.bench.report import print_report
from idol.config import preset
from idol.config.bench import ModelBenchConfig
from idol.model.cost import forward_flops


def test_flops_are_those_of_the_method() -> None:
    flops = forward_flops(preset("sd14"), "video", frames=8, size=32, tokens=257)
    assert flops.unet / 1e12 == pytest.approx(3.252, abs=0.0005)
    assert flops.controlnet / 1e12 == pytest.approx(1.095, abs=0.0005)
    assert flops.cross_modal / 1e12 == pytest.approx(0.182, abs=0.0005)
    assert (flops.unet + flops.controlnet) / 1e12 == pytest.approx(4.347, abs=0.001)


def test_cross_modal_flops_are_found_wherever_they_are() -> None:
    config = preset("tiny")
    for placement, found in (("block_end", True), ("layer_end", True), ("none", False)):
        switched = dataclasses.replace(config, cross_modal_attention=placement)
        flops = forward_flops(switched, "video", frames=2, size=8, tokens=5)
        assert (flops.cross_modal > 0) is found
        assert flops.unet > flops.cross_modal


@pytest.mark.slow
def test_report_has_the_papers_column_and_ours() -> None:
    written = io.StringIO()
    console = Console(width=120, file=written)
    print_report(
        ModelBenchConfig(presets=("tiny",), time=("tiny",), frames=2, size=8, device="cpu"), console
    )
    text = written.getvalue()
    for cell in ("1.41B", "1,416,990,916", "975,842,884", "416,570,560", "23,774,080", "pretrain"):
        assert cell in text


@pytest.mark.parametrize("option", ["--threads", "--frames", "--size"])
@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_number_out_of_range_is_told_in_one_line(
    option: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "--presets", "tiny", option, number]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"idol-bench: {option} must be from 1 to 2147483647, not {number}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--presets", "tiny", "--time", "sd14"], "--time sd14 is none of --presets: name it"),
        (["--table", "7", "--channels-last"], "--channels-last does nothing to --table"),
        (["--table", "7", "--checkpoint"], "--checkpoint does nothing to --table"),
    ],
)
def test_what_would_do_nothing_is_told_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"idol-bench: {said}")
    assert ModelBenchConfig(presets=("sd14",)).timed == ("tiny",)  # which is not among them


def test_a_gpu_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["model", "--presets", "tiny", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == (
        "idol-bench: --device cuda: there is no GPU; use cpu or auto\n"
    )


def test_peak_memory_counts_what_lives_at_once() -> None:
    def function() -> None:
        a = torch.ones(1000)
        b = a + 1
        del a
        b + 1

    assert measure(function, repeats=1).peak_bytes == pytest.approx(8000, abs=64)


def test_help_is_fast() -> None:
    command = [sys.executable, "-c", "from idol.bench.cli import main; main(['--help'])"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "model" in result.stdout
    modules = (
        "import sys, idol.bench.cli; print('torch' in sys.modules, 'diffusers' in sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", modules], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["False", "False"]
