"""`idol-bench`: counts agree with the method, and the command answers at once."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from idol.bench.measure import measure
from idol.bench.report import print_report
from idol.config import preset
from idol.config.commands import ModelBenchConfig
from idol.model.cost import forward_flops


def test_flops_are_those_of_the_method() -> None:
    flops = forward_flops(preset("sd14"), "video", frames=8, size=32)
    assert flops.unet / 1e12 == pytest.approx(3.399, abs=0.0015)
    assert flops.controlnet / 1e12 == pytest.approx(1.163, abs=0.0005)
    assert flops.cross_modal / 1e12 == pytest.approx(0.18, abs=0.005)
    assert (flops.unet + flops.controlnet) / 1e12 == pytest.approx(4.563, abs=0.001)


def test_cross_modal_flops_are_found_wherever_they_are() -> None:
    config = preset("tiny")
    for placement, found in (("block_end", True), ("layer_end", True), ("none", False)):
        switched = dataclasses.replace(config, cross_modal_attention=placement)
        flops = forward_flops(switched, "video", frames=2, size=8)
        assert (flops.cross_modal > 0) is found
        assert flops.unet > flops.cross_modal


def test_report_has_the_papers_column_and_ours() -> None:
    written = io.StringIO()
    console = Console(width=120, file=written)
    print_report(
        ModelBenchConfig(presets=("tiny",), time=("tiny",), frames=2, size=8, device="cpu"), console
    )
    text = written.getvalue()
    for cell in ("1.41B", "1,416,990,916", "975,842,884", "416,570,560", "23,774,080", "pretrain"):
        assert cell in text


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
