"""Passes that are recorded and played, with a recorder that needs no GPU."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from idol.checkpoint import Checkpoints
from idol.config import TrainConfig
from idol.config.model import StageName
from idol.data.datasets import open_datasets
from idol.data.depth_meaning import depth_meaning
from idol.recording import Recorded
from idol.train.distributed import make_accelerator
from idol.train.graph import takes_graphs
from idol.train.loop import denoising_losses, train_steps
from idol.train.monitor import DenoisingMonitor
from idol.train.run import Run
from idol.train.train import train
from shards.stream import ClipBatch
from tests.idol.small import randomise
from tests.idol.train.micro import losses_of, micro


def again(function: Callable[[], list[Tensor]]) -> Recorded:
    """As a CUDA graph does it: what is played goes into the tensors of the recording."""
    outputs = function()

    def play() -> None:
        with torch.enable_grad():
            made = function()
        for kept, new in zip(outputs, made, strict=True):
            kept.copy_(new)

    return Recorded(outputs, play)


def refuses(function: Callable[[], list[Tensor]]) -> Recorded:
    raise RuntimeError("operation not permitted when stream is capturing")


def run_of(stage: StageName, boxes: Path, output: Path, **settings: Any) -> tuple[Run, list[Any]]:
    """A run whose passes are recorded, and the clips of its first three passes."""
    config = micro(stage, boxes, output, **settings)
    data = open_datasets(config)
    run = Run.start(config, make_accelerator(config), None, depth_meaning(data))
    randomise(run.trained.denoiser)
    batches = data.training_batches(rank=0, processes=1, consumed=0, pin_memory=False)
    return dataclasses.replace(run, graphs=True), [next(batches) for _ in range(3)]


def learnt(run: Run, batches: list[ClipBatch], record: Any) -> tuple[list[Any], dict[str, Tensor]]:
    """The losses of some passes, and the gradients that they leave together."""
    pass_losses, said = denoising_losses(run, record), []
    for clips in batches:
        total, named, _ = pass_losses(clips, gradient_norms=False)
        (total / len(batches)).backward()
        said.append({name: float(value) for name, value in named.items()})
        assert float(total.detach()) == said[-1]["total"]
    gradients = {name: p.grad.clone() for p, name in run.names.items() if p.grad is not None}
    for p in run.names:
        p.grad = None
    return said, gradients


@pytest.mark.parametrize("stage", ["pretrain", "image", "video"])
def test_what_is_played_is_what_would_be_computed(
    boxes: Path, tmp_path: Path, stage: StageName
) -> None:
    """Losses, and gradients of all that is trained, the image encoder's too, over some passes."""
    run, batches = run_of(stage, boxes, tmp_path)
    expected = learnt(dataclasses.replace(run, graphs=False), batches, None)
    played = learnt(run, batches, again)
    assert played[0] == expected[0]
    assert played[1].keys() == expected[1].keys()
    assert any(name.startswith("image_encoder") for name in played[1])
    for name, gradient in played[1].items():
        torch.testing.assert_close(gradient, expected[1][name], rtol=1e-4, atol=1e-7)


def test_clips_of_another_number_are_computed(boxes: Path, tmp_path: Path) -> None:
    run, batches = run_of("image", boxes, tmp_path)
    more = run_of("image", boxes, tmp_path / "more", batch_size=3)[1]
    mixed = [batches[0], more[0], batches[1]]
    expected = learnt(dataclasses.replace(run, graphs=False), mixed, None)
    assert learnt(run, mixed, again)[0] == expected[0]


def test_what_cannot_be_recorded_is_computed_and_said(
    boxes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, batches = run_of("image", boxes, tmp_path)
    expected = learnt(dataclasses.replace(run, graphs=False), batches, None)
    with caplog.at_level(logging.WARNING):
        assert learnt(run, batches, refuses)[0] == expected[0]
    assert [r.message for r in caplog.records] == [
        "passes are not recorded as a CUDA graph (operation not permitted when stream is "
        "capturing): slower, and no other result"
    ]


def test_a_pass_leaves_no_graph_to_the_next(boxes: Path, tmp_path: Path) -> None:
    """Else a recording would wait for a stream of the one before, which no graph holds."""
    run, _ = run_of("image", boxes, tmp_path, steps=3)
    data = open_datasets(run.config)
    pass_losses = denoising_losses(dataclasses.replace(run, graphs=False))
    weight = run.trained.denoiser.unet.conv_in.weight
    left = []

    def node() -> Any:
        view: Any = weight.view_as(weight)
        return view.grad_fn.next_functions[0][0]

    def watched(clips: ClipBatch, *, gradient_norms: bool) -> Any:
        left.append("used" in node().metadata)
        found = pass_losses(clips, gradient_norms=gradient_norms)
        node().metadata["used"] = True
        return found

    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    train_steps(run, data, checkpoints, DenoisingMonitor(run, data), watched)
    assert left == [False] * 3


@pytest.mark.parametrize(
    ("settings", "processes", "free", "taken"),
    [
        ({}, 1, 1 << 40, True),
        ({"mixed_precision": "bf16"}, 1, 1 << 40, True),
        ({"mixed_precision": "fp16"}, 1, 1 << 40, False),
        ({"compile": True}, 1, 1 << 40, False),
        ({"gradient_checkpointing": True}, 1, 1 << 40, False),
        ({"cuda_graphs": False}, 1, 1 << 40, False),
        ({}, 2, 1 << 40, False),
        ({}, 1, None, False),
        ({}, 1, 1 << 10, False),
    ],
)
def test_when_passes_are_recorded(
    tmp_path: Path, settings: dict[str, Any], processes: int, free: int | None, taken: bool
) -> None:
    config: TrainConfig = micro("video", tmp_path, tmp_path / "run", cpu=False, **settings)
    assert takes_graphs(config, processes, free) is taken


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("stage", ["pretrain", "image", "video"])
def test_on_a_gpu_too(
    boxes: Path,
    tmp_path: Path,
    stage: StageName,
    precision: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    totals = []
    for graphs in (False, True):
        output = tmp_path / str(graphs)
        settings: dict[str, Any] = {
            "cuda_graphs": graphs,
            "mixed_precision": precision,
            "accumulation": 2,
        }
        settings["gradient_norms_every"] = 3  # some passes are computed, the first one too
        train(micro(stage, boxes, output, cpu=False, steps=6, ema=0.9, **settings))
        totals.append([line["total"] for line in losses_of(output)])
    assert totals[1] == pytest.approx(totals[0], rel=1e-3 if precision == "no" else 3e-2)
    assert not [r for r in caplog.records if "CUDA graph" in r.message]
