"""Ranges of numbers, said beside the fields that they are of, and the check that reads them."""

import dataclasses
import math
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from idol.errors import IdolError

__all__ = [
    "FRACTION",
    "NOT_NEGATIVE",
    "POSITIVE",
    "ConfigError",
    "Range",
    "at_least",
    "mistakes_in",
]

# What NumPy can count.
_MOST = 2**31 - 1


class ConfigError(IdolError):
    """A setting that is unknown, or contradicts another one; the message says which and why."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The finite numbers between `low` and `high`, with both unless they are excluded."""

    low: float
    high: float = math.inf
    above_low: bool = False
    below_high: bool = False

    def __contains__(self, number: float) -> bool:
        low = self.low < number if self.above_low else self.low <= number
        high = number < self.high if self.below_high else number <= self.high
        return low and high and math.isfinite(number)

    def __str__(self) -> str:
        low = f"{'>' if self.above_low else '>='} {self.low}"
        if self.high == math.inf:
            return f"{low} and finite"
        if self.above_low or self.below_high:
            return f"{low} and {'<' if self.below_high else '<='} {self.high}"
        return f"from {self.low} to {self.high}"


POSITIVE = Range(0, above_low=True)
NOT_NEGATIVE = Range(0)
FRACTION = Range(0, 1)


def at_least(low: int, high: int = _MOST) -> Range:
    """The range of a count."""
    return Range(low, high)


def mistakes_in(config: Any) -> Iterator[tuple[str, str]]:
    """Compare the fields of a dataclass with their annotations.

    Checked are choices (`Literal`), `bool`, and the types and `Range`s of `Annotated` numbers, also
    those of a tuple; None where a field may be None, a word where one may stand for a number.

    Yields:
        Of every field that is wrong its name and what is, such as ("steps", "must be from ...").
    """
    for name, kind in get_type_hints(type(config), include_extras=True).items():
        value = getattr(config, name)
        plain, *notes = get_args(kind) if get_origin(kind) is Annotated else (kind,)
        kinds = get_args(plain) if get_origin(plain) in (Union, UnionType) else (plain,)
        words = [word for k in kinds if get_origin(k) is Literal for word in get_args(k)]
        chosen = all(get_origin(k) is Literal or k is NoneType for k in kinds)
        absent = value is None and NoneType in kinds
        if chosen and value not in words and not absent:
            yield name, f"must be one of {', '.join(words)}, not {value!r}"
        elif plain is bool and not isinstance(value, bool):
            yield name, f"must be true or false, not {value!r}"
        for bounds in notes:
            if isinstance(bounds, Range) and value is not None and value not in words:
                whole = plain is int or (bool(words) and int in kinds)
                yield from ((name, fault) for fault in _outside(value, bounds, whole))


def _outside(value: Any, bounds: Range, whole: bool) -> Iterator[str]:
    if whole and type(value) is not int:
        yield f"must be a whole number, not {value!r}"
    elif not all(number in bounds for number in (value if isinstance(value, tuple) else [value])):
        yield f"must be {bounds}, not {value}"
