"""A configuration file for `idol-train`: what a run's own config.json is, or any part of it."""

import dataclasses
import difflib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from idol.config.checks import ConfigError
from idol.config.train import TrainConfig
from shards.options import Given, options_of, wanted

__all__ = ["NOTES", "laid_over", "read_settings"]

# What a run's config.json says beside its settings: what they come to, and where it ran.
NOTES = ("global_batch", "shards_digest", "cached_latents", "environment")

_Place = tuple[str | int, ...]  # keys and positions that lead to a value


def read_settings(path: Path) -> Given:
    """The settings that a file gives, those of a part of the configuration in its own section.

    Raises:
        ConfigError: the file is not there or not JSON; or, with their lines, every setting that is
            unknown, given twice, or of the wrong type. Ranges are the configuration's own matter.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"--config {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} cannot be read: {error}") from error
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> Given:
        keys = [key for key, _ in pairs]
        twice.extend(key for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path} must hold settings by their names, {{...}}")
    mistakes = [f"duplicate key `{key}`" for key in twice]
    settings = {key: value for key, value in content.items() if key not in NOTES}
    try:
        checked: Given = _adapter().validate_json(json.dumps(settings))
    except ValueError as error:
        mistakes += _explained(error, text)
        checked = {}
    ConfigError.raise_if_any(mistakes, f"--config {path} cannot be used")
    return checked


def laid_over(given: Given, below: Given) -> Given:
    """Both together; where both have a setting, that of `given`."""
    both = {**below, **given}
    for name in below.keys() & given.keys():
        if isinstance(below[name], dict) and isinstance(given[name], dict):
            both[name] = laid_over(given[name], below[name])
    return both


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(options_of(TrainConfig))


def _explained(error: Any, text: str) -> Iterator[str]:
    """What pydantic found, in our words, one mistake of each value."""
    lines = _lines(text)
    found: dict[_Place, list[Any]] = {}
    for fault in error.errors():
        place = fault["loc"]
        # pydantic adds which alternative of a union did not fit.
        while place not in lines and len(place) > 1:
            place = place[:-1]
        found.setdefault(place, []).append(fault)
    for place, faults in found.items():
        name = ".".join(map(str, place))
        line = f"line {lines[place]}: " if place in lines else ""
        if faults[0]["type"] == "extra_forbidden":
            yield f"{line}`{name}` is unknown{_hint(str(place[-1]))}"
        else:
            yield f"{line}`{name}` must be {' or '.join(dict.fromkeys(map(wanted, faults)))}"


def _hint(name: str) -> str:
    """Which setting may be meant, by the section in which it stands; several have one name."""
    places = _places()
    near = difflib.get_close_matches(name, [place.rpartition(".")[2] for place in places], n=1)
    meant = [f"`{place}`" for place in places if place.rpartition(".")[2] in near]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _places(kind: Any = TrainConfig, section: str = "") -> list[str]:
    """All settings with their sections, as in `optimizer.steps`."""
    places = []
    for name, hint in get_type_hints(kind).items():
        places.append(section + name)
        if dataclasses.is_dataclass(hint):
            places += _places(hint, f"{section}{name}.")
    return places


def _lines(text: str) -> dict[_Place, int]:
    """The line of every key and item; JSON is YAML, whose reader knows lines."""
    import yaml

    lines: dict[_Place, int] = {}

    def walk(node: yaml.Node, place: _Place) -> None:
        lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                lines[inner] = key.start_mark.line + 1
                walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                walk(item, (*place, number))

    try:
        if (root := yaml.compose(text, yaml.SafeLoader)) is not None:
            walk(root, ())
    except yaml.YAMLError:  # such as a tab, which JSON takes: there are no lines to tell
        pass
    return lines
