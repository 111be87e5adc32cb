"""Loss curves show what they say they show."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from idol.train.curves import loss_curves, main, smoothed
from idol.train.stopping import TrainError


def write_run(folder: Path, rows: int = 60) -> Path:
    folder.mkdir(parents=True)
    lines = [
        {
            "step": n,
            "total": 2.0,
            "denoise_video": 1 / n,
            "denoise_depth": 0.5 / n,
            "motion": 1e-4 / n,
            "cross_attention": 0.0,
            "learning_rate": 1e-3 * n,
            "gradient_norm": 1.0,
            "skipped_steps": 0,
        }
        for n in range(1, rows + 1)
    ]
    (folder / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = {"step": 30, "denoise_video": 0.1}
    (folder / "validation.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def test_curves_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [write_run(tmp_path / name) for name in ("image", "video")]

    def decoded(png: bytes) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)

    assert main([str(stage) for stage in stages]) == 0
    path = tmp_path / "losses.png"
    assert str(path) in capsys.readouterr().out
    one, two = decoded(loss_curves(stages[:1])), decoded(path.read_bytes())
    assert one.shape[0] == two.shape[0]
    assert two.shape[1] > 1.5 * one.shape[1]


@pytest.mark.parametrize("here", [".", "model/.."])
def test_a_folder_that_goes_by_no_name_has_its_curves_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    stage = write_run(tmp_path / "image")
    (stage / "model").mkdir()
    monkeypatch.chdir(stage)
    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda self, title: titles.append(title))
    assert main([here]) == 0
    assert titles == ["image"]
    assert (tmp_path / "losses.png").is_file()
    assert not (stage / "losses.png").exists()


def test_curves_that_cannot_be_written_leave_those_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, path = write_run(tmp_path / "image"), tmp_path / "losses.png"
    path.write_bytes(b"before")
    write = Path.write_bytes

    def full(file: Path, data: bytes) -> int:
        write(file, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([str(stage)]) == 2
    assert path.read_bytes() == b"before"
    assert sorted(tmp_path.iterdir()) == [stage, path]


@pytest.mark.parametrize("names", [("distill_video", "distill_depth"), ("reconstruction",)])
def test_every_stage_has_a_loss_to_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    lines = [{"step": n, "total": 1.0, **dict.fromkeys(names, 1 / n)} for n in (1, 2, 3)]
    (tmp_path / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    loss_curves([tmp_path])
    [figure] = figures
    own, consistency, _ = figure.axes
    assert not own.texts
    assert len(own.lines) == 2 * len(names)  # each step, and the average
    assert [text.get_text() for text in consistency.texts] == ["none in this stage"]


def test_curves_without_losses_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    reason = f"{tmp_path} has no losses to draw: losses.jsonl is absent or empty"
    assert error == f"idol.train.curves: {reason}\n"
    with pytest.raises(TrainError):
        loss_curves([tmp_path])


def test_smoothed_curves_are_unbiased_exponential_averages() -> None:
    assert smoothed([3.0] * 5, 4) == pytest.approx(3.0)
    assert smoothed([1.0, float("nan"), 1.0], 4) == pytest.approx(1.0)
    # After a step from 0 to 1 the average has gone 1 - 1/e of the way in its time constant.
    assert smoothed([0.0] * 1000 + [1.0] * 100, 100)[-1] == pytest.approx(1 - np.exp(-1), abs=0.01)
