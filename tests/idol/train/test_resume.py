"""A run that was stopped, however, ends bit for bit as one that was not."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from torch import nn

from idol.model_info import model_digest
from idol.saved import digest
from idol.train.stopping import Interrupt, TrainError
from idol.train.train import train
from tests.idol.train.micro import in_processes, losses_of, micro, weights_of

STEPS = 9
PAUSE = 0.2  # seconds after a step, for a signal to come in time
SETTINGS = {"steps": STEPS, "checkpoint_every": 3, "ema": 0.9, "accumulation": 2, "batch_size": 1}


@pytest.fixture(scope="module")
def uninterrupted(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(micro("video", boxes, output, **SETTINGS))
    return output


def same(output: Path, reference: Path) -> bool:
    """Whether losses and the final models are equal, to the last bit."""
    logs = [(folder / "losses.jsonl").read_bytes() for folder in (output, reference)]
    weights = [weights_of(folder / "model") for folder in (output, reference)]
    assert weights[1]
    models = [model_digest(folder) for folder in (output, reference)]
    return logs[0] == logs[1] and weights[0] == weights[1] and models[0] == models[1]


def wait_for_lines(process: BaseProcess, output: Path, lines: int) -> None:
    """Until the run has taken so many steps."""
    log = output / "losses.jsonl"
    deadline = time.monotonic() + 250
    while not (log.exists() and log.read_bytes().count(b"\n") >= lines):
        assert process.is_alive(), "the run ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("lines", [1, 5])
def test_a_run_killed_at_any_step_resumes_as_if_nothing_was(
    boxes: Path, tmp_path: Path, uninterrupted: Path, lines: int
) -> None:
    config = micro("video", boxes, tmp_path / "run", **SETTINGS)
    [process] = in_processes(config, pause=PAUSE)
    wait_for_lines(process, config.output, lines)
    os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (config.output / "model").exists()
    train(config)
    assert same(config.output, uninterrupted)


@pytest.mark.parametrize(
    ("workers", "number"),
    [
        (0, signal.SIGTERM),
        (2, signal.SIGINT),
        pytest.param(0, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_run_asked_to_stop_saves_and_leaves(
    boxes: Path, tmp_path: Path, uninterrupted: Path, number: signal.Signals, workers: int
) -> None:
    settings = {**SETTINGS, "checkpoint_every": 100, "workers": workers}
    config = micro("video", boxes, tmp_path / "run", **settings)
    [process] = in_processes(config, pause=PAUSE)
    wait_for_lines(process, config.output, 2)
    os.killpg(process.pid, number)  # type: ignore[arg-type]
    process.join()
    assert process.exitcode == 130
    [checkpoint] = (config.output / "checkpoints").iterdir()
    assert checkpoint.name == f"step-{len(losses_of(config.output)):08d}"
    train(config)
    assert same(config.output, uninterrupted)


def test_signals_in_a_burst_are_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm signals every process, and torchrun passes the signal on to its own."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now)
        with Interrupt() as interrupt:
            assert not interrupt.requested
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
            assert interrupt.requested
            assert not heard
            monkeypatch.setattr(time, "monotonic", lambda: now + 3)
            signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_damaged_checkpoint_is_skipped(
    boxes: Path, tmp_path: Path, uninterrupted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = micro("video", boxes, tmp_path / "run", **SETTINGS, keep=3)
    train(config)
    newest = config.output / "checkpoints" / f"step-{STEPS:08d}"
    weights = next(newest.rglob("unet/*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    train(config)
    assert f"{newest} is skipped" in caplog.text
    assert "another checksum" in caplog.text
    assert same(config.output, uninterrupted)


def test_without_any_valid_checkpoint_nothing_is_overwritten(boxes: Path, tmp_path: Path) -> None:
    config = micro("pretrain", boxes, tmp_path / "run", steps=1)
    train(config)
    [checkpoint] = (config.output / "checkpoints").iterdir()
    (checkpoint / "manifest.json").unlink()
    with pytest.raises(TrainError, match=r"no checkpoint in .* is valid"):
        train(config)


def test_other_settings_are_refused_with_the_difference(boxes: Path, tmp_path: Path) -> None:
    train(micro("pretrain", boxes, tmp_path / "run", steps=1))
    changed = micro("pretrain", boxes, tmp_path / "run", steps=2, seed=5, keep=7)
    with pytest.raises(TrainError) as refused:
        train(changed)
    assert "optimizer.steps: saved 1, given 2" in str(refused.value)
    assert "run.seed: saved 0, given 5" in str(refused.value)
    assert "keep" not in str(refused.value)  # may differ


def test_the_same_batch_may_be_divided_otherwise(
    boxes: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    config = micro("video", boxes, tmp_path / "run", **{**SETTINGS, "steps": STEPS})
    [process] = in_processes(config, pause=PAUSE)
    wait_for_lines(process, config.output, 4)
    os.kill(process.pid, signal.SIGTERM)  # type: ignore[arg-type]
    process.join()
    other = {**SETTINGS, "accumulation": 1, "batch_size": 2}
    train(micro("video", boxes, tmp_path / "run", **other))
    totals = [[line["total"] for line in losses_of(o)] for o in (config.output, uninterrupted)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    with pytest.raises(TrainError, match="global_batch: saved 2, given 4"):
        train(micro("video", boxes, tmp_path / "run", **{**other, "batch_size": 4}))


class Scaled(nn.Linear):
    """With a scale that has no axes, as CLIP's."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scale = nn.Parameter(torch.tensor(2.0))


def test_frozen_networks_are_identified_by_every_number_and_type() -> None:
    module, other = Scaled(), Scaled()
    other.load_state_dict(module.state_dict())
    assert digest(other) == digest(module)
    for parameter in other.parameters():
        with torch.no_grad():
            parameter.view(-1)[0] += 1
        assert digest(other) != digest(module)
        with torch.no_grad():
            parameter.copy_(dict(module.named_parameters())[_name(other, parameter)])
    assert digest(other) == digest(module)
    assert digest(module.half()) != digest(other)


def _name(module: nn.Module, wanted: nn.Parameter) -> str:
    return next(name for name, parameter in module.named_parameters() if parameter is wanted)
