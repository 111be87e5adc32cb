"""A dataclass's fields as options that may all be left out, on a command line or in a file.

This separates what was given from what was not: it overrides defaults that are known only later,
those of a recipe file or of a preset.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Annotated, Any, Required, TypeVar, get_args, get_origin, get_type_hints

import tyro
from docstring_parser import parse_from_object
from typing_extensions import Doc, TypedDict

__all__ = ["Given", "not_used", "options_of", "replaced", "section", "shown", "wanted"]

_T = TypeVar("_T")

Given = dict[str, Any]
"""What was given of a dataclass's fields, by their names; nested dataclasses likewise."""


def options_of(
    kind: type,
    *,
    required: Collection[str] = (),
    default_of: Callable[[str], str] | None = None,
    more: Given | None = None,
    _prefix: str = "",
) -> Any:
    """A TypedDict of the dataclass's fields, of which `required` alone must be given.

    `tyro.cli` parses it, with the fields' docstrings as help; pydantic validates it. Fields that
    are dataclasses become such TypedDicts as well. `default_of` gives the default that help shows
    for a field, by its dotted name; without it, help shows that of the dataclass. `more` are
    options beside the fields.
    """
    docs = _docs(kind)
    hints = get_type_hints(kind, include_extras=True)
    options: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        hint, name = hints[field.name], _prefix + field.name
        plain, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if dataclasses.is_dataclass(plain):
            assert isinstance(plain, type)
            plain = options_of(plain, default_of=default_of, _prefix=f"{name}.")
        else:
            default = default_of(name) if default_of else shown(field.default)
            doc = next((m.documentation for m in marks if isinstance(m, Doc)), docs[field.name])
            hint = f"(default: {default})" if default else ""
            marks.append(tyro.conf.arg(help=" ".join(doc.split()), help_behavior_hint=hint))
        option = Annotated[(plain, *marks)] if marks else plain
        options[field.name] = Required[option] if field.name in required else option
    return section(kind.__name__, {**options, **(more or {})})


def section(name: str, fields: Given) -> Any:
    """A TypedDict of these fields, all optional; pydantic takes no others and converts nothing."""
    make: Any = TypedDict  # whose names, to mypy, are known beforehand
    kind = make(name, fields, total=False)
    kind.__pydantic_config__ = {"extra": "forbid", "strict": True}
    return kind


_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "tuple_type": "a list",
    "dict_type": "a section of settings",
}


def wanted(fault: Mapping[str, Any]) -> str:
    """What a value of a section must be, in plain words, by one of pydantic's errors about it."""
    if fault["type"] == "literal_error":
        return str(fault["ctx"]["expected"]).replace("'", "")
    return _TYPES.get(fault["type"], str(fault["msg"]))


def replaced(value: _T, given: Given) -> _T:
    """The dataclass with what was given in place of its fields; raises as its own checks do."""
    changes = {
        name: replaced(getattr(value, name), new) if isinstance(new, dict) else new
        for name, new in given.items()
    }
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


def not_used(
    value: Any,
    default: Any,
    rules: Iterable[tuple[str, str]],
    prefixes: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """A line for each option that was set and means nothing beside the others.

    Args:
        value: a dataclass; `default`: the same with defaults.
        rules: of the fields that mean nothing now, the dotted name and why. Those that are as by
            default were not asked for, and get no line.
        prefixes: of the options of a part, such as `loss.`; none unless given.
    """
    lines = {}
    for name, why in rules:
        found, usual = (_field(config, name) for config in (value, default))
        if found != usual:
            part, _, field = name.rpartition(".")
            before, option = prefixes.get(part, ""), field.replace("_", "-")
            if isinstance(found, bool):
                setting = f"--{before}{'' if found else 'no-'}{option}"
            else:
                setting = f"--{before}{option} {shown(found)}"
            lines[name] = f"{setting} is not used: {why}"
    return list(lines.values())


def _field(config: Any, name: str) -> Any:
    return reduce(getattr, name.split("."), config)


def shown(value: object) -> str:
    """A default as it would be typed; empty where there is none."""
    if value is None or value is dataclasses.MISSING:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _docs(kind: type) -> defaultdict[str, str]:
    """What the docstrings of the dataclass, and of those it inherits from, say of each field."""
    docs: defaultdict[str, str] = defaultdict(str)
    for parent in reversed(kind.__mro__):
        if dataclasses.is_dataclass(parent):
            for described in parse_from_object(parent).params:
                names = described.arg_name.split(", ")
                docs |= dict.fromkeys(names, described.description or "")
    return docs
