"""Options of a dataclass: what was given is told from what was not."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pytest
import tyro
from pydantic import TypeAdapter, ValidationError
from typing_extensions import Doc

from shards.options import options_of, replaced


@dataclasses.dataclass(frozen=True)
class Inner:
    """A part.

    Attributes:
        low, high: the range.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@dataclasses.dataclass(frozen=True)
class Base:
    """What others inherit."""

    size: int = 3
    """Height
    and width."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Base):
    """A configuration."""

    name: str
    """Whose."""
    flag: bool = True
    """Whether."""
    many: Annotated[tuple[str, ...], Doc("Which.")] = ("a", "b")
    maybe: int | None = None
    """Perhaps."""
    inner: Inner = dataclasses.field(default_factory=Inner)


def parse(*argv: str) -> dict[str, object]:
    return tyro.cli(options_of(Config, required=("name",)), args=argv)


def test_what_is_not_given_is_not_there() -> None:
    assert parse("--name", "x") == {"name": "x", "inner": {}}
    given = parse("--name", "x", "--no-flag", "--many", "c", "--size", "3", "--inner.high", "2")
    assert given == {
        "name": "x",
        "flag": False,
        "many": ("c",),
        "size": 3,
        "inner": {"high": 2.0},
    }


def test_what_is_given_goes_before_any_defaults() -> None:
    start = Config(name="start", size=9, inner=Inner(0.5, 0.7))
    changed = replaced(start, parse("--name", "x", "--inner.high", "2"))
    assert changed == Config(name="x", size=9, inner=Inner(0.5, 2.0))
    with pytest.raises(ValueError, match="low is above high"):
        replaced(start, {"inner": {"high": 0.1}})


def test_help_has_the_docstrings_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(word for word in capsys.readouterr().out.split() if word != "│")
    for words in (
        "Height and width. (default: 3)",
        "Whose. (required)",
        "Whether. (default: True)",
        "Which. (default: a b)",
        "the range. (default: 1.0)",
    ):
        assert words in shown


def test_files_are_validated_by_the_same_options() -> None:
    adapter = TypeAdapter(options_of(Config))
    assert adapter.validate_python({"size": 4}) == {"size": 4}
    for wrong in ({"size": "4"}, {"sise": 4}, {"inner": {"low": "a"}}, {"flag": 1}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
