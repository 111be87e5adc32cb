"""Every name that `docs/method.md` mentions exists."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from idol.config.model import _CHOICES
from idol.losses import LossConfig
from idol.model import DualModalUNetConfig

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


@pytest.mark.parametrize("name", [name for name in QUOTED if name.startswith("idol.")])
def test_dotted_names_exist(name: str) -> None:
    assert resolve(name) is not None


def test_switches_and_values_exist() -> None:
    fields = {field.name for field in dataclasses.fields(DualModalUNetConfig)}
    fields |= {f"LossConfig.{field.name}" for field in dataclasses.fields(LossConfig)}
    values = {value for choices in _CHOICES.values() for value in choices}
    values |= {"mean", "sum_targets", "conv_in"}
    others = [name for name in QUOTED if not name.startswith("idol.")]
    for name in others:
        assert name in fields | values or (ROOT / name).exists(), name


def test_every_equation_is_on_the_page() -> None:
    numbers = {
        int(n) for part in re.findall(r"Eq\. ([\d, and-]+)", PAGE) for n in re.findall(r"\d+", part)
    }
    assert set(range(1, 9)) <= numbers
