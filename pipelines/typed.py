"""Values from a file against the types of a dataclass's fields."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["WrongType", "convert", "field_types"]


class WrongType(Exception):
    """A value does not fit; the message says what would, and what was found."""


def field_types(of: type) -> dict[str, Any]:
    """The dataclass's fields in order, with their types."""
    hints = get_type_hints(of)
    return {field.name: hints[field.name] for field in dataclasses.fields(of)}


def convert(value: object, hint: Any) -> Any:
    """`value` as the type wants it: whole numbers serve as floats, one item as a list.

    Raises WrongType.
    """
    options = _options(hint)
    for option in options:
        if get_origin(option) is Literal:
            # True equals 1 in Python, and YAML reads `no` as False.
            if any(value == v and type(value) is type(v) for v in get_args(option)):
                return value
        elif get_origin(option) is tuple:
            items = [value] if isinstance(value, str) else value
            if isinstance(items, list) and all(isinstance(item, str) for item in items):
                return tuple(items)
        elif option is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        elif type(value) is option:
            return value
    raise WrongType(f"must be {_described(options)}, not {_shown(value)}")


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _described(options: tuple[Any, ...]) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    words: list[str] = []
    for option in options:
        if get_origin(option) is Literal:
            words += [str(value) for value in get_args(option)]
        elif get_origin(option) is tuple:
            words.append("a name or a list of names")
        elif option is not types.NoneType:
            words.append(names[option])
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (quote it if text is meant)"
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'section'}"
    return f"{value!r}" if isinstance(value, str) else str(value)
