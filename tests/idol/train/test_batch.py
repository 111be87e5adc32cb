"""A step's clips are what was asked for, however they are divided."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from idol.config import TrainConfig, defaults
from idol.config.checks import ConfigError
from idol.train.batch import divided
from idol.train.cli import parse
from idol.train.memory import estimate
from idol.train.stopping import TrainError
from idol.train.train import train
from tests.idol.train.micro import losses_of, micro

REQUIRED = ("--stage", "video", "--shards", "a", "--output", "o")


def of(**settings: Any) -> TrainConfig:
    return micro("video", Path("shards"), Path("output"), **settings)


def shape(config: TrainConfig) -> tuple[int, int]:
    assert config.run.batch_size != "auto"
    return config.run.batch_size, config.run.accumulation


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_the_papers_model_takes_32_clips_a_step_of_videos(processes: int) -> None:
    config, line = divided(defaults("video", shards=["a"], output=Path("o")), processes, None)
    assert shape(config) == (1, 32 // processes)
    assert config.global_batch(processes) == 32
    assert line == (
        f"--batch-size auto: 1 of a step's {32 // processes} clips in a pass (there is no GPU)"
    )


def test_a_pass_has_as_many_clips_as_fit() -> None:
    config = of(batch_size="auto", clips_per_step=8)
    free = [estimate(of(batch_size=n, accumulation=8 // n)).total / 0.85 for n in (2, 4)]
    assert shape(divided(config, 1, int(free[0]) + 1)[0]) == (2, 4)
    found, line = divided(config, 1, int(free[1]) - 1)
    assert shape(found) == (2, 4)
    assert "2 of a step's 8 clips in a pass" in line
    assert shape(divided(config, 1, 2**50)[0]) == (8, 1)
    assert shape(divided(config, 1, 1)[0]) == (1, 8)


def test_a_run_that_resumes_keeps_its_division() -> None:
    config = of(batch_size="auto", clips_per_step=8)
    saved = {"run": {"batch_size": 4, "accumulation": 2}}
    assert shape(divided(config, 1, 1, saved)[0]) == (4, 2)
    assert shape(divided(config, 2, 1, saved)[0]) == (1, 4)


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(TrainError, match="multiple, such as 9"):
        divided(of(batch_size=2, clips_per_step=8), 3, None)
    with pytest.raises(TrainError, match="give 8 or 4 or 2 or 1"):
        divided(of(batch_size=3, clips_per_step=8), 1, None)
    with pytest.raises(ConfigError, match="give --clips-per-step as well"):
        of(batch_size="auto")
    with pytest.raises(ConfigError, match="leave one of them out"):
        of(accumulation=2, clips_per_step=8)
    with pytest.raises(ConfigError, match="must be a whole number, not 'all'"):
        of(batch_size="all")


def test_on_the_command_line_what_is_given_decides() -> None:
    auto = parse([*REQUIRED, "--batch-size", "auto", "--clips-per-step", "16"])
    assert (auto.run.batch_size, auto.global_batch(1)) == ("auto", 16)
    assert parse([*REQUIRED, "--batch-size", "2"]).global_batch(4) == 32
    assert parse([*REQUIRED, "--accumulation", "3"]).global_batch(1) == 3
    assert parse([*REQUIRED, "--batch-size", "2", "--accumulation", "3"]).global_batch(1) == 6


def test_the_division_changes_losses_by_rounding_alone(boxes: Path, tmp_path: Path) -> None:
    totals = []
    for name, settings in (
        ("auto", {"batch_size": "auto", "clips_per_step": 4}),
        ("whole", {"batch_size": 4}),
    ):
        config = micro("video", boxes, tmp_path / name, steps=2, **settings)
        train(dataclasses.replace(config))
        totals.append([line["total"] for line in losses_of(tmp_path / name)])
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
