"""Several processes take the steps of one with the same batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from idol.train.train import train
from tests.idol.train.micro import in_processes, losses_of, micro


@pytest.fixture(scope="module")
def alone(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, a batch of four."""
    output = tmp_path_factory.mktemp("alone") / "run"
    train(micro("video", boxes, output, batch_size=4))
    return output


def check_equal(output: Path, alone: Path) -> None:
    lines = [losses_of(folder) for folder in (output, alone)]
    assert len(lines[0]) == 4
    for key in ("total", "denoise_video", "denoise_depth", "motion", "gradient_norm"):
        ours, theirs = ([line[key] for line in side] for side in lines)
        assert ours == pytest.approx(theirs, rel=1e-4), key
    for name in ("unet", "controlnet"):
        file = f"model/{name}/diffusion_pytorch_model.safetensors"
        ours, theirs = load_file(output / file), load_file(alone / file)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("processes", "settings"),
    [
        (1, {"batch_size": 1, "accumulation": 4}),
        (2, {"batch_size": 2}),
        (2, {"batch_size": 1, "accumulation": 2}),
        (2, {"batch_size": 2, "fsdp": True}),
    ],
    ids=["accumulated", "two processes", "two accumulating", "divided"],
)
def test_the_batch_of_a_step_is_what_counts(
    boxes: Path, tmp_path: Path, alone: Path, processes: int, settings: dict[str, Any]
) -> None:
    config = micro("video", boxes, tmp_path / "run", **settings)
    for process in in_processes(config, processes):
        process.join(100)
        assert process.exitcode == 0
    check_equal(config.output, alone)


@pytest.mark.slow
def test_torchrun_starts_it(boxes: Path, tmp_path: Path) -> None:
    """The command itself: sizes as in preset tiny."""
    options = "--stage pretrain --preset tiny --cpu --steps 2 --size 32 --workers 0 --no-progress"
    alone, together = tmp_path / "alone", tmp_path / "together"
    common = [*options.split(), "--no-tensorboard", "--sample-every", "0", "--shards", str(boxes)]
    one = [sys.executable, "-m", "idol.train.cli", "--output", str(alone), "--batch-size", "2"]
    run = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "idol.train.cli"]
    two = [sys.executable, *run, "--output", str(together), "--batch-size", "1"]
    for command in (one, two):
        subprocess.run([*command, *common], check=True)
    totals = [[line["total"] for line in losses_of(folder)] for folder in (alone, together)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
