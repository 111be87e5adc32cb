"""Training is decided by its settings, not by variables that its libraries read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from idol.train.cli import run_config
from idol.train.train import train
from tests.idol.train.micro import losses_of, micro, weights_of


def test_variables_of_accelerate_change_neither_losses_nor_weights(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(micro("image", boxes, tmp_path / "plain"))
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    train(micro("image", boxes, tmp_path / "set"))
    assert losses_of(tmp_path / "set") == losses_of(tmp_path / "plain")
    assert weights_of(tmp_path / "set" / "model") == weights_of(tmp_path / "plain" / "model")


def test_what_is_recorded_must_be_the_same_to_resume(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "run"
    config = micro("image", boxes, output, checkpoint_every=2)
    train(config)
    saved = json.loads((output / "config.json").read_text())
    assert saved["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"
    (output / "model").rename(tmp_path / "model")

    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    assert run_config(config) == 2
    told = capsys.readouterr().err
    assert "began with NVIDIA_TF32_OVERRIDE=0, now NVIDIA_TF32_OVERRIDE unset" in told

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run_config(config) == 0


def test_another_way_to_divide_the_model_is_refused(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert run_config(micro("image", boxes, tmp_path / "run")) == 2
    assert "--fsdp decides" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
