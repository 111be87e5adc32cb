"""YAML with the line of every key, so that mistakes can be pointed at. Plain values alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from preprocess.errors import InputError

__all__ = ["Section", "read_section"]


@dataclass
class Section:
    """A mapping: `values` of plain data, `Section`s and lists of them, and each key's line."""

    line: int
    values: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)


def read_section(text: str, name: str) -> Section:
    """The file's top mapping. Raises InputError naming the line where it is no YAML."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Section(1)
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{name} must hold lines of `name: value`")
        return _section(loader, node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"{name}{line}: is not YAML: {problem}") from error
    except RecursionError as error:
        raise InputError(f"{name}: is nested too deeply to be a recipe") from error
    finally:
        loader.dispose()


def _section(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Section:
    section = Section(node.start_mark.line + 1)
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key in section.lines:
            section.faults.append(
                (line, f"{key} is said twice, first in line {section.lines[key]}")
            )
            continue
        section.values[key] = _value(loader, value_node)
        section.lines[key] = line
    return section


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return _section(loader, node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item) for item in node.value]
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, LookupError):  # such as the date 2026-99-99
        return str(node.value)
