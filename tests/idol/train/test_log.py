"""What a run says is whole and said once, resumed or not."""

from __future__ import annotations

import io
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from idol.train import monitor
from idol.train.log import JsonLines, LineDisplay, Log, StepReport, read_json_lines
from idol.train.monitor import Throughput
from idol.train.stopping import TrainError


def report(step: int, **changes: Any) -> StepReport:
    values: dict[str, Any] = {
        "step": step,
        "steps": 400,
        "losses": {"total": 2.0 / step, "denoise_video": 1.1 / step, "denoise_depth": 0.9 / step},
        "learning_rate": 1e-3,
        "gradient_norm": 0.1 + 0.2,
        "images_per_second": 12.345,
        "memory_bytes": 3_210_000_000,
        "seconds_left": 200.0,
        "skipped_steps": 0,
    }
    return StepReport(**values | changes)


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    with Log(tmp_path, progress=False) as log:
        for step in range(1, 6):
            log.step(report(step))
        log.validation(4, {"denoise": 1.0})
        log.validation(5, {"denoise": 9.0})
    with Log(tmp_path, start_step=3, progress=False) as log:
        for step in range(4, 7):
            log.step(report(step, gradient_norm=7.0))
        log.validation(4, {"denoise": 2.0})
    rows = read_json_lines(tmp_path / "losses.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["gradient_norm"] for row in rows] == [0.1 + 0.2] * 3 + [7.0] * 3
    assert read_json_lines(tmp_path / "validation.jsonl") == [{"step": 4, "denoise": 2.0}]
    written = scalars(tmp_path, "run/gradient_norm")
    assert [step for step, _ in written] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in written] == pytest.approx([0.3] * 3 + [7.0] * 3)
    assert scalars(tmp_path, "validation/denoise") == [(4, 2.0)]


def test_files_of_equal_runs_are_equal_whatever_their_speed(tmp_path: Path) -> None:
    for name, speed in (("a", 1.0), ("b", 77.7)):
        with Log(tmp_path / name, progress=False, tensorboard=False) as log:
            log.step(report(3, images_per_second=speed, memory_bytes=None, seconds_left=speed))
    first, second = ((tmp_path / name / "losses.jsonl").read_bytes() for name in "ab")
    assert first == second
    assert json.loads(first)["total"] == 2.0 / 3
    assert not (tmp_path / "a" / "tensorboard").exists()


def test_a_torn_line_and_what_follows_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1, "x": 1}\n{"step": 2, "x": 2}\n{"step": 3, "x')
    assert [row["step"] for row in read_json_lines(path)] == [1, 2]
    rows = JsonLines(path, start_step=2)
    rows.append(3, {"x": float("nan")})
    # The row is with the operating system, were the process killed here.
    assert path.read_text().endswith('{"step": 3, "x": null}\n')
    rows.close()
    assert [row["step"] for row in read_json_lines(path)] == [1, 2, 3]


def test_a_run_from_the_start_forgets_an_older_one(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        with Log(tmp_path, progress=False) as log:
            log.validation(0, {"denoise": value})
            log.step(report(1, gradient_norm=value))
    assert [row["gradient_norm"] for row in read_json_lines(tmp_path / "losses.jsonl")] == [2.0]
    assert scalars(tmp_path, "run/gradient_norm") == [(1, 2.0)]
    assert scalars(tmp_path, "validation/denoise") == [(0, 2.0)]


def test_images_are_files_and_events(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    with Log(tmp_path, progress=False) as log:
        log.images(20, {"videos-cam01-16": image})
    file = tmp_path / "images" / "videos-cam01-16-000020.png"
    assert np.array_equal(cv2.imread(str(file))[..., ::-1], image)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Images("videos-cam01-16")
    decoded = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], image)


def test_lines_come_every_ten_seconds_and_for_first_and_last_step() -> None:
    text, times = io.StringIO(), iter(range(400))
    progress = LineDisplay(Console(file=text, width=300), clock=lambda: float(next(times)))
    for step in range(1, 401):
        progress.step(report(step, seconds_left=400.0 - step))
    lines = text.getvalue().splitlines()
    shown = [int(re.match(r"step (\d+)/400", line).group(1)) for line in lines]  # type: ignore
    assert shown == [*range(1, 400, 10), 400]
    assert lines[0] == (
        "step 1/400 · loss 2 · video 1.1 · depth 0.9 · lr 1.00e-03 · grad 0.3 · 12.3 images/s · "
        "3.2 GB · 7 min left"
    )
    assert "left" not in lines[-1]


def test_a_terminal_shows_the_last_step(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with Log(tmp_path, tensorboard=False, console=console) as log:
        log.step(report(200, skipped_steps=2))
        log.validation(200, {"denoise": 0.5, "denoise_video": 0.25, "denoise_video/000-249": 1.0})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    assert "200/400" in plain
    assert "3 min left" in plain
    assert "video 0.0055" in plain
    assert "2 skipped" in plain
    assert "validation after step 200: denoise 0.5000 · denoise_video 0.2500\n" in plain


def test_a_value_that_is_not_finite_is_on_file_alone(tmp_path: Path) -> None:
    with Log(tmp_path, progress=False) as log:
        log.step(report(1))
        log.step(report(2, losses={"total": float("nan")}, skipped_steps=1))
    assert scalars(tmp_path, "loss/total") == [(1, 2.0)]
    assert read_json_lines(tmp_path / "losses.jsonl")[1]["skipped_steps"] == 1


def test_wandb_that_is_absent_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainError, match="pip install wandb"):
        Log(tmp_path / "run", wandb=True)
    assert not (tmp_path / "run").exists()


def test_wandb_is_one_run_however_often_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, logged, finished = [], [], []
    run = types.SimpleNamespace(
        log=lambda values, step: logged.append((step, values)),
        finish=lambda: finished.append(True),
    )
    stub: Any = types.ModuleType("wandb")
    stub.init = lambda **options: started.append(options) or run
    stub.Image = lambda array: ("image", array.shape)
    monkeypatch.setitem(sys.modules, "wandb", stub)
    for step in (1, 2):
        with Log(tmp_path, start_step=step - 1, progress=False, wandb=True) as log:
            log.step(report(step))
    with Log(tmp_path, start_step=2, progress=False, wandb=True) as log:
        log.images(2, {"clip": np.zeros((4, 6, 3), np.uint8)})
    assert len({options["id"] for options in started}) == 1
    assert [step for step, _ in logged] == [1, 2, 2]
    assert logged[1][1]["loss/total"] == 1.0
    assert logged[2][1] == {"images/clip": ("image", (4, 6, 3))}
    assert len(finished) == 3


def test_the_first_step_does_not_count_for_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(monitor.time, "perf_counter", lambda: now[0])
    clock = Throughput()

    def step(seconds: float) -> float:
        now[0] += seconds
        return clock.tick()

    assert step(60) == 60
    assert not clock.is_known
    assert step(2) == 2  # what warmed up counts no more
    assert clock.is_known
    assert step(4) == pytest.approx(3)
    now[0] += 1000
    clock.pause()
    assert step(3) == pytest.approx(3)
    for _ in range(200):
        step(5)
    assert step(5) == pytest.approx(5, rel=1e-3)
