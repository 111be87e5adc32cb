"""The card that a trained model has: whole, true to its run, and the same after a stop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from idol.config import TrainConfig, defaults
from idol.data.datasets import open_datasets
from idol.model_info import read_info
from idol.pretrained import POSED128
from idol.train.card import _data, command_of
from idol.train.cli import parse
from idol.train.train import train
from shards.dataset import DatasetInfo
from shards.mix import Mixture
from tests.idol.train.micro import losses_of, micro


@pytest.fixture(scope="module")
def config(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    output = tmp_path_factory.mktemp("card") / "a | b"
    config = micro("image", boxes, output, steps=2, validate_every=2)
    train(config)
    return config


@pytest.fixture(scope="module")
def card(config: TrainConfig) -> str:
    return (config.output / "model" / "README.md").read_text()


def test_the_header_is_the_hubs(card: str) -> None:
    _, header, _ = card.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["library_name"] == "diffusers"
    assert found["pipeline_tag"] == "text-to-video"
    assert "idol" in found["tags"]


def test_it_says_data_command_settings_scores_limits_and_use(card: str, boxes: Path) -> None:
    titles = [line for line in card.splitlines() if line.startswith("#")]
    assert titles[1:] == [
        "## Data", "## Training", "## Scores", "## Limits", "## Use",
    ]  # fmt: skip
    assert f"{boxes} | 7, 2 |" in card  # clips to train on, and held out
    assert "after 2 steps" in card
    assert "Of stage image" in card
    assert "IdolPipeline.from_pretrained" in card


def test_a_recipe_of_somebody_elses_is_no_error(boxes: Path, tmp_path: Path) -> None:
    config = micro("image", boxes, tmp_path)
    data = open_datasets(config)
    [dataset] = data.mixture.datasets
    for annotators in (["lite"], {"mask": "lite"}, None):
        theirs = dataclasses.replace(dataset, info=DatasetInfo({"annotators": annotators}))
        [row] = list(_data(config, dataclasses.replace(data, mixture=Mixture((theirs,)))))[1:-1]
        assert row.startswith(f"| {boxes} | 7, 2 |  |")


def test_its_scores_are_the_last_validation(config: TrainConfig, card: str) -> None:
    rows = (config.output / "validation.jsonl").read_text().splitlines()
    last = json.loads(rows[-1])
    assert f"| denoise_depth | {last['denoise_depth']:.4f} |" in card
    assert len(losses_of(config.output)) == 2


def test_its_command_is_the_run(config: TrainConfig) -> None:
    assert dataclasses.replace(parse(command_of(config)), report=config.report) == config


@pytest.mark.parametrize("preset", ["tiny", "sd14"])
def test_a_command_says_what_is_not_usual_alone(preset: str) -> None:
    usual = defaults("video", preset, shards=["a b", "c"], output=Path("out"))  # type: ignore[arg-type]
    assert command_of(usual) == [
        "--stage", "video", "--preset", preset, "--shards", "a b", "c", "--output", "out",
    ]  # fmt: skip
    changed = dataclasses.replace(
        usual,
        data=dataclasses.replace(usual.data, mirror=0.5, crop_area=(0.5, 1.0)),
        loss=dataclasses.replace(usual.loss, motion_weight=0.25),
    )
    assert dataclasses.replace(parse(command_of(changed)), report=usual.report) == changed


@pytest.mark.parametrize(
    "options",
    [
        "--preset sd14 --batch-size 4 --accumulation 1",  # the preset has 32 clips a step
        "--preset tiny --init-from {} --size 64",
        "--preset tiny --init-from {} --model.background-hole grey",
    ],
)
def test_a_command_says_what_is_as_the_preset_has_it_and_not_as_its_start(
    options: str, tmp_path: Path
) -> None:
    info = read_info(POSED128)
    filled = dataclasses.replace(info.settings, background_hole="filled")
    content = dataclasses.replace(info, settings=filled).as_json()
    (tmp_path / "idol.json").write_text(json.dumps(content))
    start = f"--stage video --shards a --output out {options.format(tmp_path)}"
    config = parse(start.split())
    assert parse(command_of(config)) == config


def test_the_command_of_larger_patches_has_one_option_for_them() -> None:
    usual = defaults("image", "tiny", shards=["a"], output=Path("out"), patch=8)
    assert command_of(usual) == [
        "--stage", "image", "--preset", "tiny", "--shards", "a", "--patch", "8", "--output", "out",
    ]  # fmt: skip
    assert parse(command_of(usual)) == usual


def test_a_run_that_ends_twice_has_one_card(config: TrainConfig, card: str) -> None:
    train(config)  # resumes from its last checkpoint
    assert (config.output / "model" / "README.md").read_text() == card
