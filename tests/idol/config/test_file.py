"""`idol-train --config FILE`: what a run wrote trains the same again; mistakes have their line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idol.config import ConfigError, TrainConfig
from idol.config.file import NOTES, read_settings
from idol.train.cli import main, parse, run_config
from idol.train.train import train
from tests.idol.train.micro import losses_of, micro, weights_of


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


@pytest.fixture
def ran(boxes: Path, tmp_path: Path) -> TrainConfig:
    config = micro("video", boxes, tmp_path / "run", ema=0.5, seed=5, betas=(0.8, 0.9))
    assert run_config(config) == 0
    return config


def test_a_runs_own_file_trains_the_same_and_the_command_line_goes_before_it(
    ran: TrainConfig, tmp_path: Path
) -> None:
    file = str(ran.output / "config.json")
    assert parse(["--config", file]) == ran
    again = parse([f"--config={file}", "--output", str(tmp_path / "again"), "--keep", "7"])
    assert again.report.keep == 7
    train(again)
    assert losses_of(tmp_path / "again") == losses_of(ran.output)
    assert weights_of(tmp_path / "again" / "model") == weights_of(ran.output / "model")
    first, second = (
        json.loads((o / "config.json").read_text()) for o in (ran.output, again.output)
    )
    assert {k for k in first if first[k] != second[k]} == {"output", "report"}


@pytest.mark.parametrize(
    ("run", "given", "batch"),
    [
        ({"batch_size": 1, "accumulation": 2}, "--clips-per-step 4", 4),
        ({"batch_size": 1, "clips_per_step": 4}, "--accumulation 2", 2),
    ],
)
def test_of_two_settings_of_the_batch_the_one_that_is_typed_counts(
    tmp_path: Path, run: dict[str, int], given: str, batch: int
) -> None:
    file = write(tmp_path / "c.json", {"stage": "image", "preset": "tiny", "run": run})
    typed = ["--config", str(file), "--shards", "a", "--output", "o", *given.split()]
    assert parse(typed).global_batch(1) == batch


def test_homes_take_the_place_of_tildes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    start = {"stage": "image", "preset": "tiny", "shards": ["a"], "output": "~/run"}
    file = write(tmp_path / "c.json", start)
    assert parse(["--config", str(file)]).output == Path("/home/ann/run")


def test_what_a_file_leaves_out_is_the_stage_and_presets_own(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.json",
        {"stage": "image", "preset": "tiny", "optimizer": {"betas": [0.5, 0.75]}, "shards": ["a"]},
    )
    config = parse(["--config", str(file), "--output", "o", "--steps", "9"])
    typed = "--stage image --preset tiny --shards a --output o --steps 9 --betas 0.5 0.75"
    expected = parse(typed.split())
    assert config == expected


def test_all_mistakes_are_named_with_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        tmp_path / "c.json",
        '{\n"stage": "pretrain",\n"optimizer": {\n  "stepz": 3,\n  "learning_rate": "fast"\n},\n'
        '"run": 5,\n"model": {"temporal_layers": 1},\n"colour": "red", "output": "a", "output": "b"'
        "\n}\n",
    )
    assert main(["--config", str(file), "--shards", "a"]) == 2
    told = capsys.readouterr().err
    for part in (
        "line 4: `optimizer.stepz` is unknown; did you mean `optimizer.steps`?",
        "line 5: `optimizer.learning_rate` must be a number",
        "line 7: `run` must be a section of settings",
        "line 8: `model.temporal_layers` must be true or false",
        "line 9: `colour` is unknown",
        "duplicate key `output`",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold settings"),
        ({"stage": "video"}, "leaves out --shards, --output"),
        (
            {"stage": "nine"},
            "line 2: `stage` must be pretrain, image, video, distill or autoencoder",
        ),
        ({"optimizer": {"steps": 1.5}}, "line 3: `optimizer.steps` must be a whole number"),
        ({"shards": ["a", 5]}, "`shards.1` must be text"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    file = write(tmp_path / "c.json", content)
    with pytest.raises(ConfigError, match=told):
        parse(["--config", str(file)])
    with pytest.raises(ConfigError, match="does not exist"):
        parse(["--config", str(tmp_path / "nowhere.json")])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"steps": "x"}, "`steps` is unknown; did you mean `optimizer.steps`?"),
        ({"run": {"stage": "image"}}, "`run.stage` is unknown; did you mean `stage`?"),
        ({"sise": 4}, "`sise` is unknown; did you mean `data.size`?"),
    ],
)
def test_a_setting_out_of_its_section_is_shown_it(
    tmp_path: Path, content: dict[str, Any], told: str
) -> None:
    file = write(tmp_path / "c.json", content)
    with pytest.raises(ConfigError) as error:
        read_settings(file)
    assert told in str(error.value)


def test_ranges_are_checked_as_on_the_command_line(tmp_path: Path) -> None:
    values = {"stage": "video", "shards": ["a"], "output": "o", "report": {"sample_steps": 2000}}
    with pytest.raises(ConfigError, match="--sample-steps must be from 1 to 1000, not 2000"):
        parse(["--config", str(write(tmp_path / "c.json", values))])


def test_notes_are_no_settings(ran: TrainConfig) -> None:
    saved = json.loads((ran.output / "config.json").read_text())
    assert set(NOTES) <= saved.keys()
    assert not set(NOTES) & read_settings(ran.output / "config.json").keys()
