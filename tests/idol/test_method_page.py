"""Every name that `docs/method.md` mentions exists."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from idol.config import DualModalUNetConfig, LossConfig, OptimizerConfig, ReportConfig
from idol.config.distill import DistillConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "method.md").read_text()
QUOTED = sorted(set(re.findall(r"`([^`\s]+)`", PAGE)))


def resolve(name: str) -> object:
    """Import the longest module prefix of a dotted name, then follow its attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


DOTTED = [n for n in QUOTED if n.startswith(("idol.", "shards.")) and n != "idol.json"]


@pytest.mark.parametrize("name", DOTTED)
def test_dotted_names_exist(name: str) -> None:
    assert resolve(name) is not None


def test_switches_and_values_exist() -> None:
    fields = {field.name for field in dataclasses.fields(DualModalUNetConfig)}
    for part in (LossConfig, OptimizerConfig, DistillConfig):
        fields |= {f"{part.__name__}.{field.name}" for field in dataclasses.fields(part)}
    kinds = [
        kind
        for config in (
            DualModalUNetConfig,
            LossConfig,
            OptimizerConfig,
            ReportConfig,
            DistillConfig,
        )
        for kind in get_type_hints(config).values()
    ]
    values = {value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)}
    values |= {"conv_in", "proj_in", "proj_out", "--grey", "--depth-scores", "idol.json"}
    others = [name for name in QUOTED if name not in DOTTED]
    for name in others:
        assert name in fields | values or (ROOT / name).exists(), name


def test_every_equation_is_on_the_page() -> None:
    numbers = {
        int(n) for part in re.findall(r"Eq\. ([\d, and-]+)", PAGE) for n in re.findall(r"\d+", part)
    }
    assert set(range(1, 9)) <= numbers
