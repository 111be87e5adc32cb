"""The table of variants: the paper's parameter counts, and what contradicts a variant."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import pytest
import torch

from idol.config import ConfigError, preset
from idol.model import DualModalDenoiser
from idol.model.cost import parameters
from idol.model_info import ModelInfo
from idol.saved import load_trained
from idol.train.cli import parse
from idol.train.initialize import check_sources
from idol.train.stopping import TrainError
from idol.variants import VARIANTS, denoiser_class, variant_called


def build(name: str) -> DualModalDenoiser:
    settings = dataclasses.replace(preset("sd14"), **VARIANTS[name].model)
    with torch.device("meta"):
        return denoiser_class(name, "video").from_config(settings)


# What the paper counts is U-Net and ControlNet; CLIP's projection and the background's convolution
# are less than its last digit.
@pytest.mark.parametrize(
    ("name", "expected", "printed"),
    [
        ("idol", 1_416_990_916, 1.41),
        ("cross-modal-attention", 1_416_990_916, 1.41),
        ("shared-unet", 1_416_990_916 - 23_774_080, 1.39),
        ("separate-unets", 2 * (975_842_884 + 11_840 + 416_570_560) + 786_432, 2 * 1.39),
    ],
)
def test_parameters_of_tables_4_and_7(name: str, expected: int, printed: float) -> None:
    count = parameters(build(name))
    assert count == expected
    # The paper cuts off what follows its last digit.
    assert printed <= count / 1e9 < printed + 0.012


def arguments(tmp_path: Path, *more: str) -> list[str]:
    return ["--stage", "image", "--shards", "s", "--output", str(tmp_path), *more]


def test_a_variant_is_a_configuration(tmp_path: Path) -> None:
    config = parse(arguments(tmp_path, "--variant", "shared-unet"))
    assert (config.variant, config.model.cross_modal_attention) == ("shared-unet", "none")
    assert not config.loss.compares
    plain = parse(arguments(tmp_path))
    assert plain.variant == "idol"
    for part in ("data", "optimizer", "run"):
        assert getattr(config, part) == getattr(plain, part)


def test_a_variants_settings_are_checked_with_all_that_is_given(tmp_path: Path) -> None:
    pretrain = ["--preset", "tiny", "--stage", "pretrain", *arguments(tmp_path)[2:]]
    pretrain += ["--variant", "author-pretrained-layers"]
    with pytest.raises(ConfigError, match="trains nothing of fresh weights"):
        parse(pretrain)
    info = ModelInfo(
        stage="pretrain", preset="tiny", settings=preset("tiny"), size=64, frames=1, step=1
    )
    before = tmp_path / "before"
    before.mkdir()
    (before / "idol.json").write_text(json.dumps(info.as_json()))
    config = parse([*pretrain, "--init-from", str(before)])
    assert config.optimizer.pretrained_layers == "transformer_blocks"


@pytest.mark.parametrize(
    ("stage", "variant", "refused"),
    [
        ("image", "cross-attention-loss", False),  # it differs by the motion loss alone
        ("image", "motion-loss", True),
        ("video", "cross-attention-loss", True),  # whose motion it would be
    ],
)
def test_what_trained_images_alike_is_started_from_and_no_other(
    tmp_path: Path, stage: Literal["image", "video"], variant: str, refused: bool
) -> None:
    info = ModelInfo(
        stage=stage,
        preset="tiny",
        variant=variant,
        settings=preset("tiny"),
        size=64,
        frames=1,
        step=1,
    )
    (tmp_path / "idol.json").write_text(json.dumps(info.as_json()))
    given = arguments(tmp_path, "--preset", "tiny", "--init-from", str(tmp_path))
    given[1] = {"image": "video", "video": "distill"}[stage]
    with pytest.raises(TrainError, match="give --variant") if refused else nullcontext():
        check_sources(parse(given))


@pytest.mark.parametrize("depth", ["person", "frame"])
def test_every_system_learns_either_depth(tmp_path: Path, depth: str) -> None:
    for name, variant in VARIANTS.items():
        if variant.pretraining == "haop":
            config = parse(arguments(tmp_path, "--variant", name, "--depth", depth))
            assert config.data.depth == depth
            assert variant.mistakes(config, name) == []


def test_what_contradicts_a_variant_is_refused(tmp_path: Path) -> None:
    config = parse(
        arguments(
            tmp_path, "--variant", "shared-unet", "--loss.motion-weight", "1", "--preset", "tiny"
        )
    )
    with pytest.raises(TrainError, match=r"shared-unet is motion_weight=0\.0, and --loss\.motion"):
        check_sources(config)
    with pytest.raises(ConfigError, match=r"no variant 'shared'.*shared-unet"):
        parse(arguments(tmp_path, "--variant", "shared"))
    nothing_before = parse(["--preset", "tiny", *arguments(tmp_path)[2:], "--stage", "pretrain",
                            "--variant", "no-pretraining"])  # fmt: skip
    with pytest.raises(TrainError, match="no-pretraining has no pre-training"):
        check_sources(nothing_before)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("streams", "separate"),
        ("background", "controlnet"),
        ("temporal-modules", "animatediff"),
        ("pose-control", "t2i_adapter"),
    ],
)
def test_what_a_variant_builds_is_not_had_without_it(
    tmp_path: Path, option: str, value: str
) -> None:
    given = ["--preset", "tiny", f"--model.{option}", value]
    if option == "streams":
        given += ["--model.cross-modal-attention", "none", "--model.no-modality-embedding"]
    with pytest.raises(TrainError, match=rf"variant idol builds no model of --model\.{option} "):
        check_sources(parse(arguments(tmp_path, *given)))


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.model])
def test_what_goes_on_as_another_variant_has_its_settings_alone(tmp_path: Path, name: str) -> None:
    of_it = parse(arguments(tmp_path, "--preset", "tiny", "--variant", name)).model
    info = ModelInfo(
        stage="pretrain", preset="tiny", variant=name, settings=of_it, size=64, frames=1, step=1
    )
    (tmp_path / "idol.json").write_text(json.dumps(info.as_json()))
    plain = ["--preset", "tiny", "--init-from", str(tmp_path)]
    assert parse(arguments(tmp_path / "run", *plain)).model == preset("tiny")
    same = parse(arguments(tmp_path / "run", *plain, "--variant", name)).model
    assert same == of_it


def test_a_variant_that_this_version_does_not_know_is_named(tmp_path: Path) -> None:
    info = ModelInfo(
        stage="video", preset="tiny", variant="other", settings=preset("tiny"), size=64, frames=8,
        step=1,
    )  # fmt: skip
    (tmp_path / "idol.json").write_text(json.dumps(info.as_json()))
    with pytest.raises(ConfigError, match=r"no variant 'other'"):
        load_trained(tmp_path)


def test_every_row_says_where_it_comes_from() -> None:
    assert all(v.summary and v.row for v in VARIANTS.values())
    assert variant_called("idol").model == {}


def test_the_page_has_every_variant_with_its_count() -> None:
    page = (Path(__file__).parents[3] / "docs" / "variants.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    told = {cells[1].strip(" `"): cells[5].strip() for cells in rows}
    assert told.keys() == VARIANTS.keys()
    counts: dict[str, str] = {}
    for name, variant in VARIANTS.items():
        key = f"{variant.denoiser().__name__} {sorted(variant.model.items())}"
        if key not in counts:
            counts[key] = f"{parameters(build(name)):,}"
        assert told[name] == counts[key]
