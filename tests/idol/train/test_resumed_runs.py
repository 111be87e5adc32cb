"""What a resumed run catches up on, takes over, and refuses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idol.checkpoint import Checkpoints, step_of
from idol.data.datasets import Datasets
from idol.model_info import ModelInfo, model_digest
from idol.train.cli import parse, run_config
from idol.train.monitor import DenoisingMonitor
from idol.train.run import Run
from idol.train.stopping import DivergedError
from idol.train.train import train
from shards.errors import StorageError
from tests.idol.train.micro import losses_of, micro, weights_of
from tests.idol.train.test_train import spoil

EVALUATED: dict[str, Any] = {
    "steps": 4,
    "checkpoint_every": 2,
    "validate_every": 2,
    "validation_clips": 2,
    "sample_every": 2,
    "sample_steps": 2,
    "ema": 0.9,
}


def images(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / "images").iterdir()}


def written(folder: Path) -> dict[Path, int]:
    """When each file was."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def evaluated(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluated") / "run"
    train(micro("image", boxes, output, **EVALUATED))
    assert {name.rpartition("-")[2] for name in images(output)} == {"000002.png", "000004.png"}
    return output


@pytest.mark.parametrize(
    ("within", "step"),
    [
        ("_validate", 2),
        ("_sample", 4),
        pytest.param("_validate", 4, marks=pytest.mark.slow),
        pytest.param("_sample", 2, marks=pytest.mark.slow),
    ],
)
def test_validation_and_samples_that_a_stop_cut_off_are_caught_up_on(
    boxes: Path, tmp_path: Path, evaluated: Path, monkeypatch: pytest.MonkeyPatch, step: int,
    within: str,
) -> None:  # fmt: skip
    original = getattr(DenoisingMonitor, within)

    def stopped(self: DenoisingMonitor, done: int) -> None:
        if done == step:
            raise KeyboardInterrupt
        original(self, done)

    config = micro("image", boxes, tmp_path / "run", **EVALUATED)
    with monkeypatch.context() as context:
        context.setattr(DenoisingMonitor, within, stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    train(config)
    for name in ("validation.jsonl", "losses.jsonl"):
        assert (config.output / name).read_bytes() == (evaluated / name).read_bytes()
    assert images(config.output) == images(evaluated)
    assert model_digest(config.output) == model_digest(evaluated)


def test_what_was_evaluated_is_not_evaluated_again(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = micro("image", boxes, tmp_path / "run", **EVALUATED)
    model = train(config)
    before = written(model)
    monkeypatch.setattr(DenoisingMonitor, "_validate", None)
    monkeypatch.setattr(DenoisingMonitor, "_sample", None)
    train(config)
    assert written(model) == before  # of a finished run


def test_a_failing_run_tried_again_keeps_the_checkpoints_before(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = micro("pretrain", boxes, tmp_path, steps=20, checkpoint_every=3, max_skipped=2)
    for first in (4, 0, 0):
        spoil(monkeypatch, range(first, 100))
        with pytest.raises(DivergedError, match="--init-from"):
            train(config)
        found = [path.name for path in Checkpoints(tmp_path / "checkpoints").listed()]
        assert found == ["step-00000006", "step-00000003"]


def test_a_read_error_leaves_a_checkpoint_of_the_last_step(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Datasets.training_batches

    def failing(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, batch in enumerate(original(*arguments, **options)):
            if number == 5:  # within the third step
                raise StorageError("s3://bucket: timed out")
            yield batch

    whole = micro("pretrain", boxes, tmp_path / "whole", batch_size=1, accumulation=2)
    train(whole)
    config = micro("pretrain", boxes, tmp_path / "run", batch_size=1, accumulation=2)
    with monkeypatch.context() as context:
        context.setattr(Datasets, "training_batches", failing)
        assert run_config(config) == 2
    assert [c.name for c in (config.output / "checkpoints").iterdir()] == ["step-00000002"]
    train(config)
    assert losses_of(config.output) == losses_of(whole.output)
    assert weights_of(config.output / "model") == weights_of(whole.output / "model")


def test_a_reader_of_progress_who_leaves_costs_no_step(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    config = micro("image", boxes, tmp_path, steps=3, checkpoint_every=3, progress=True)
    with open(writer, "w") as gone, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", gone)
        with pytest.raises(BrokenPipeError):
            train(config)
        with contextlib.suppress(BrokenPipeError):
            gone.close()
    newest = Checkpoints(tmp_path / "checkpoints").newest()
    assert newest is not None
    assert step_of(newest) == 1


def test_a_run_resumes_when_its_initial_weights_are_gone(
    boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(micro("pretrain", boxes, tmp_path / "before", steps=1))
    settings: dict[str, Any] = {"steps": 2, "init_from": tmp_path / "before"}
    train(micro("image", boxes, tmp_path / "run", **settings))
    shutil.rmtree(tmp_path / "before")
    command = ["--stage", "image", "--preset", "tiny", "--shards", str(boxes)]
    command += ["--init-from", str(tmp_path / "before")]
    config = parse([*command, "--output", str(tmp_path / "run")])
    assert config.model == micro("image", boxes, tmp_path).model
    train(micro("image", boxes, tmp_path / "run", **settings))
    with pytest.raises(Exception, match="holds no trained model"):
        parse([*command, "--output", str(tmp_path / "new")])


def test_the_saved_settings_are_the_last_ones(boxes: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    train(micro("pretrain", boxes, before, steps=1))
    train(micro("image", boxes, tmp_path / "run", steps=1, init_from=before))
    train(micro("image", boxes, tmp_path / "run", steps=1, keep=7))
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["report"]["keep"] == 7
    assert saved["init_from"] == str(before)


@pytest.mark.parametrize("content", ["null", "{}", '{"shards": 1}', "[", '"text"'])
def test_what_is_no_runs_configuration_is_one_line_and_stays(
    boxes: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(content)
    assert run_config(micro("pretrain", boxes, tmp_path, steps=1)) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"{tmp_path}/config.json is damaged" in line
    assert (tmp_path / "config.json").read_text() == content


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_checkpoint_stays_mapped_into_memory(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = micro("video", boxes, tmp_path / "run", steps=1, ema=0.9)
    shutil.rmtree(train(config))
    original, maps = Run.save_final, []

    def noted(self: Run, folder: Path, card: Callable[[ModelInfo], str]) -> None:
        maps.append(Path(f"/proc/{os.getpid()}/maps").read_text())
        original(self, folder, card)

    monkeypatch.setattr(Run, "save_final", noted)
    train(config)
    assert str(config.output / "checkpoints") not in maps[0]
