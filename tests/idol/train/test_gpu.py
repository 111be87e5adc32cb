"""A run on a GPU: precisions, resumption, and memory that does not suffice."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from idol.config.train import TrainConfig
from idol.train.memory import estimate
from idol.train.stopping import TrainError
from idol.train.train import train
from tests.idol.train.micro import MODEL, losses_of, micro

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(boxes: Path, output: Path, **settings: Any) -> TrainConfig:
    return micro("video", boxes, output, cpu=False, **settings)


@pytest.fixture(autouse=True)
def uses_the_gpu() -> Iterator[None]:
    """A process that has trained on its CPU before does so on its GPU all the same."""
    torch.cuda.init()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield
    assert torch.cuda.max_memory_allocated() > before


def totals(output: Path) -> list[float]:
    return [line["total"] for line in losses_of(output)]


@pytest.fixture(scope="module")
def on_cpu(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    output = tmp_path_factory.mktemp("cpu") / "run"
    train(micro("video", boxes, output))
    return totals(output)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"tf32": False}, 1e-3),
        ({"mixed_precision": "bf16"}, 3e-2),
        ({"mixed_precision": "bf16", "gradient_checkpointing": True}, 3e-2),
    ],
    ids=["float32", "bf16", "checkpointing"],
)
def test_the_losses_are_those_of_a_cpu(
    boxes: Path, tmp_path: Path, on_cpu: list[float], settings: dict[str, Any], tolerance: float
) -> None:
    """The same clips, noise and weights: what differs is rounding."""
    train(on_gpu(boxes, tmp_path / "run", **settings))
    assert totals(tmp_path / "run") == pytest.approx(on_cpu, rel=tolerance)


@pytest.mark.timeout(900)
def test_compiled_blocks_give_the_same_losses(boxes: Path, tmp_path: Path) -> None:
    """Of a network of one level: half as many blocks are compiled, of every kind."""
    model = dataclasses.replace(MODEL, block_out_channels=(8,), attention_levels=(True,))
    settings = {"model": model, "steps": 2, "mixed_precision": "bf16"}
    for name, compiled in (("plain", False), ("compiled", True)):
        train(on_gpu(boxes, tmp_path / name, compile=compiled, **settings))
    assert totals(tmp_path / "compiled") == pytest.approx(totals(tmp_path / "plain"), rel=1e-2)


@pytest.mark.parametrize("precision", ["no", "fp16"])
def test_a_run_resumes_from_a_checkpoint(boxes: Path, tmp_path: Path, precision: str) -> None:
    settings = {"checkpoint_every": 2, "mixed_precision": precision, "ema": 0.5}
    whole, cut = (on_gpu(boxes, tmp_path / name, **settings) for name in ("whole", "cut"))
    train(whole)
    shutil.copytree(whole.output, cut.output)
    shutil.rmtree(cut.output / "model")
    shutil.rmtree(cut.output / "checkpoints" / "step-00000004")
    train(cut)
    assert totals(cut.output) == pytest.approx(totals(whole.output), rel=1e-3)


def test_out_of_memory_on_a_gpu_says_what_would_fit(boxes: Path, tmp_path: Path) -> None:
    config = on_gpu(boxes, tmp_path / "run", batch_size=256)
    _, there = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(estimate(config).total / 4 / there)
    try:
        with pytest.raises(TrainError, match=r"--gradient-checkpointing") as refused:
            train(config)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory" in str(refused.value)
    assert "--batch-size 128 --accumulation 2" in str(refused.value)
