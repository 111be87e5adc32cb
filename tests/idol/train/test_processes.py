"""Several processes take the steps of one with the same batch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from idol.train.log import VALIDATION, read_json_lines
from idol.train.train import train
from tests.idol.train.micro import in_processes, losses_of, micro

# Five divide into batches of one clip; the val split has two.
VALIDATING = {"validate_every": 4, "validation_clips": 5}


@pytest.fixture(scope="module")
def alone(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, a batch of four."""
    output = tmp_path_factory.mktemp("alone") / "run"
    train(micro("video", boxes, output, batch_size=4, **VALIDATING))
    return output


def check_losses(output: Path, alone: Path) -> None:
    lines = [losses_of(folder) for folder in (output, alone)]
    assert len(lines[0]) == 4
    for key in ("total", "denoise_video", "denoise_depth", "motion", "gradient_norm"):
        ours, theirs = ([line[key] for line in side] for side in lines)
        assert ours == pytest.approx(theirs, rel=1e-4), key


def check_validation(output: Path, alone: Path) -> None:
    """Clips are shared among processes, as far as they go; each is weighed once."""
    [ours], [theirs] = (read_json_lines(folder / VALIDATION) for folder in (output, alone))
    assert ours.keys() == theirs.keys() > {"denoise_video", "denoise_depth/000-249"}
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-4), name


def check_equal(output: Path, alone: Path) -> None:
    check_losses(output, alone)
    for name in ("unet", "controlnet"):
        file = f"model/{name}/diffusion_pytorch_model.safetensors"
        ours, theirs = load_file(output / file), load_file(alone / file)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            # Single weights whose gradient is rounding alone are moved either way by Adam.
            assert float((tensor - theirs[key]).abs().mean()) < 1e-5, key


@pytest.mark.parametrize(
    ("processes", "settings"),
    [
        (1, {"batch_size": 1, "accumulation": 4}),
        # Where there is no GPU they find each other unasked.
        (2, {"batch_size": 2, "cpu": torch.accelerator.is_available()}),
        pytest.param(2, {"batch_size": 1, "accumulation": 2}, marks=pytest.mark.slow),
        pytest.param(2, {"batch_size": 2, "fsdp": True}, marks=pytest.mark.slow),
    ],
    ids=["accumulated", "two processes", "two accumulating", "divided"],
)
def test_the_batch_of_a_step_is_what_counts(
    boxes: Path, tmp_path: Path, alone: Path, processes: int, settings: dict[str, Any]
) -> None:
    config = micro("video", boxes, tmp_path / "run", **settings, **VALIDATING)
    for process in in_processes(config, processes):
        process.join(250)
        assert process.exitcode == 0
    check_equal(config.output, alone)
    check_validation(config.output, alone)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 1])
def test_a_divided_run_resumes_divided_or_alone(
    boxes: Path, tmp_path: Path, alone: Path, processes: int
) -> None:
    settings = {"checkpoint_every": 2, "ema": 0.5}
    divided = micro("video", boxes, tmp_path / "run", batch_size=2, fsdp=True, **settings)
    one = micro("video", boxes, tmp_path / "run", batch_size=4, **settings)
    for config, count in ((divided, 2), (divided if processes == 2 else one, processes)):
        for process in in_processes(config, count):
            process.join(250)
            assert process.exitcode == 0
        ended = load_file(tmp_path / "run/model/unet/diffusion_pytorch_model.safetensors")
        check_losses(tmp_path / "run", alone)
        shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000004")
        shutil.rmtree(tmp_path / "run" / "model")
    trained = load_file(alone / "model/unet/diffusion_pytorch_model.safetensors")
    moved = [float((ended[key] - trained[key]).abs().mean()) for key in trained]
    assert max(moved) > 1e-5  # what is saved in the end is the average of weights


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
