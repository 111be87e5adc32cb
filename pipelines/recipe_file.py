"""Recipe files: YAML that a user can read and copy, found by name or path, checked all at once."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Required, get_origin, get_type_hints

import yaml

from pipelines.compute import Compute
from pipelines.recipe import Recipe, RecipeMistakes
from preprocess.errors import InputError
from shards.files.home import expanded
from shards.options import Given, options_of, section, wanted

__all__ = ["RecipeFile", "SourceEntry", "load_recipe", "packaged", "parse_recipe"]

_GPUS = ("mask", "pose", "depth")
_PAPER = {"tiktok": "paper-tiktok", "ntu120": "paper-ntu120"}
_LARGEST = 1 << 20
# Values of a file, of which aliases may make more than it has bytes.
_MOST_VALUES = 100_000

_Path = tuple[str | int, ...]  # keys and positions that lead to a value of the file


@dataclass(frozen=True)
class SourceEntry:
    """One of several sources: its own recipe, its path unless --source gives one, its weight."""

    name: str
    path: str | None
    weight: float
    recipe: Recipe


@dataclass(frozen=True)
class RecipeFile:
    """What a file says. `settings` are the fields of `Recipe` that it names."""

    title: str
    text: str = ""
    folder: Path = Path()
    settings: Mapping[str, Any] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)
    sources: tuple[SourceEntry, ...] = ()

    @property
    def about(self) -> str:
        """Its first comment line."""
        first = self.text.split("\n", 1)[0]
        return first.lstrip("# ").strip() if first.startswith("#") else ""


def packaged() -> dict[str, str]:
    """The texts of the recipes that come with the package, by name."""
    found = resources.files("pipelines.recipes").iterdir()
    files = {f.name.removesuffix(".yaml"): f for f in found if f.name.endswith(".yaml")}
    return {name: files[name].read_text() for name in sorted(files)}


def load_recipe(name: str, dataset: str | None = None) -> RecipeFile:
    """A packaged recipe by its name, or any by its path; `paper` is that of the dataset.

    Raises InputError for one that is not there, and naming every mistake in it at once.
    """
    path = expanded(name)
    texts = packaged()
    if name == "paper":
        if dataset not in _PAPER:
            reason = (
                f"{dataset} has none" if dataset else "give --dataset to `build`, or its own name"
            )
            raise InputError(
                f"recipe paper is that of the dataset, {' or '.join(_PAPER)}: {reason}; packaged "
                f"recipes: {', '.join(texts)}"
            )
        name = _PAPER[dataset]
    if name in texts:
        return parse_recipe(texts[name], name)
    if not path.is_file():
        names = (*texts, "paper")
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"recipe {name} is neither a file nor one of {', '.join(names)}{hint}")
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large to be a recipe")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file") from error
    return parse_recipe(text, str(path), path.parent)


def parse_recipe(text: str, title: str, folder: Path = Path()) -> RecipeFile:
    """Read and check a recipe's text. Raises InputError naming every mistake with its line."""
    checked = _Checked(_Yaml(text, title))
    content = checked.content
    compute, sources = content.pop("compute", {}), content.pop("sources", ())
    compute |= {f"{modality}_gpus": gpus for modality, gpus in compute.pop("gpus", {}).items()}
    usable = checked.make(Recipe, (), {"dataset": _ANY_DATASET, **content})
    made_of = checked.make(Compute, ("compute",), compute)
    if sources and "dataset" in content:
        checked.mistake(("dataset",), "dataset is that of each source: say it there")
    entries: dict[str, SourceEntry] = {}
    for number, source in enumerate(sources):
        at = ("sources", number)
        own = {key: source.pop(key, None) for key in ("name", "path", "weight")}
        common = content if usable else {}
        recipe = checked.make(Recipe, at, {"dataset": _ANY_DATASET, **common, **source})
        if own["name"] and own["name"] in entries:
            checked.mistake((*at, "name"), f"name {own['name']} is that of another source as well")
        elif recipe:
            entries[own["name"]] = SourceEntry(**own, recipe=recipe)
    if checked.mistakes:
        lines = [f"line {line}: {text}" for line, text in sorted(set(checked.mistakes))]
        raise RecipeMistakes(lines, title)
    assert made_of is not None
    return RecipeFile(title, text, folder, content, made_of, tuple(entries.values()))


# Which dataset is often left to the command line: TikTok's allows everything.
_ANY_DATASET = "tiktok"


class _Yaml:
    """A file's content in plain values, sequences as tuples, and the line of every key and item.

    Raises InputError naming the line where it is no YAML, or no mapping.
    """

    def __init__(self, text: str, title: str) -> None:
        self.lines: dict[_Path, int] = {(): 1}
        self.duplicates: list[tuple[int, str]] = []
        self.content: dict[str, Any] = {}
        self._values = 0
        self._title = title
        try:
            self._loader = yaml.SafeLoader(text)
        except yaml.YAMLError as error:  # a character that no YAML may have
            raise InputError(f"{title}: is not YAML: {error}") from error
        try:
            node = self._loader.get_single_node()
            if node is None:
                return
            if not isinstance(node, yaml.MappingNode):
                raise InputError(f"{title} must hold lines of `name: value`")
            self.content = self._value(node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error)
            raise InputError(f"{title}{line}: is not YAML: {problem}") from error
        except RecursionError as error:
            raise InputError(f"{title}: is nested too deeply to be a recipe") from error
        finally:
            self._loader.dispose()

    def line(self, at: _Path) -> int:
        """Of the value, or of the innermost one around it that is there."""
        return self.lines[at] if at in self.lines else self.line(at[:-1])

    def _value(self, node: yaml.Node, at: _Path) -> Any:
        self.lines.setdefault(at, node.start_mark.line + 1)
        self._values += 1
        if self._values > _MOST_VALUES:
            raise InputError(f"{self._title} has more than {_MOST_VALUES} values: no recipe has")
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._value(item, (*at, n)) for n, item in enumerate(node.value))
        if not isinstance(node, yaml.MappingNode):
            try:
                return self._loader.construct_object(node, deep=True)
            except (ValueError, LookupError):  # such as the date 2026-99-99
                return str(node.value)
        values = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            line = key_node.start_mark.line + 1
            if key in values:
                first = self.lines[*at, key]
                self.duplicates.append((line, f"duplicate key `{key}` (first on line {first})"))
                continue
            self.lines[*at, key] = line
            values[key] = self._value(value_node, (*at, key))
        return values


class _Checked:
    """What of a file has the right types, and the mistakes of the rest, with their lines."""

    def __init__(self, file: _Yaml) -> None:
        from pydantic import ValidationError

        self._line = file.line
        self.mistakes = list(file.duplicates)
        try:
            content = _with_lists(file.content)
            self.content: Given = _adapter().validate_python(content)
        except ValidationError as error:
            wrong: dict[_Path, list[Any]] = {}
            for fault in error.errors():
                at = fault["loc"]
                # pydantic adds which alternative of a union did not fit.
                while at not in file.lines and fault["type"] != "missing":
                    at = at[:-1]
                wrong.setdefault(at, []).append(fault)
            for at, faults in wrong.items():
                self.mistake(at, _explained(at, faults))
            # A source keeps its place; of any other list none is right where an item is wrong.
            items = {at for at in wrong if isinstance(at[-1], int) and at[:-1] != ("sources",)}
            self.content = _without(content, {at[:-1] if at in items else at for at in wrong})

    def mistake(self, at: _Path, text: str) -> None:
        self.mistakes.append((self._line(at), text))

    def make(self, kind: type[Any], at: _Path, settings: Given) -> Any:
        """The dataclass; None where its settings contradict each other, which become mistakes."""
        try:
            return kind(**settings)
        except RecipeMistakes as error:
            for mistake in error.mistakes:
                self.mistake((*at, mistake.split()[0]), mistake)
            return None


@cache
def _types() -> dict[_Path, Any]:
    """What the sections of a file hold, by the names that lead to them; all of it is optional."""
    from pydantic import Field

    recipe = get_type_hints(options_of(Recipe), include_extras=True)
    compute = get_type_hints(options_of(Compute), include_extras=True)
    folder_name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
    needed = {"name": folder_name, "dataset": recipe["dataset"], "weight": weight}
    required = {name: Required[hint] for name, hint in needed.items()}
    source = section("source", {**recipe, "path": str, **required})
    gpus = section("gpus", {modality: compute.pop(f"{modality}_gpus") for modality in _GPUS})
    computing = section("compute", {**compute, "gpus": gpus})
    sources = GenericAlias(tuple, (source, ...))
    top = section("recipe", {**recipe, "compute": computing, "sources": sources})
    return {(): top, ("sources",): source, ("compute",): computing, ("compute", "gpus"): gpus}


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_types()[()])


def _with_lists(content: Given) -> Given:
    """One name serves as a list of names, in the sources as well."""
    hints = get_type_hints(Recipe)
    sources = content.get("sources")
    if isinstance(sources, tuple):
        sections = tuple(_with_lists(s) if isinstance(s, dict) else s for s in sources)
        content = {**content, "sources": sections}
    return {
        key: (value,) if isinstance(value, str) and get_origin(hints.get(key)) is tuple else value
        for key, value in content.items()
    }


def _without(value: Any, wrong: Collection[_Path], at: _Path = ()) -> Any:
    """The content without values at these paths; empty sections in place of items."""
    if isinstance(value, dict):
        inner = {key: (item, (*at, key)) for key, item in value.items()}
        return {k: _without(v, wrong, path) for k, (v, path) in inner.items() if path not in wrong}
    if isinstance(value, tuple):
        return tuple(
            {} if (*at, n) in wrong else _without(item, wrong, (*at, n))
            for n, item in enumerate(value)
        )
    return value


def _explained(at: _Path, faults: list[Any]) -> str:
    """What is wrong with a value, in our words, from all that pydantic says of it."""
    key = next(str(name) for name in reversed(at) if isinstance(name, str))
    kind, found = faults[0]["type"], faults[0]["input"]
    match kind:
        case "extra_forbidden":
            known = _types()[tuple(name for name in at[:-1] if isinstance(name, str))]
            names = [*known.__annotations__]
            near = difflib.get_close_matches(key.replace("-", "_"), names, n=1)
            return f"{key} is unknown; " + (
                f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            )
        case "missing":
            return f"{key} is missing from this source"
        case "string_pattern_mismatch":
            return f"{key} {found!r} is used as a folder name; use only letters, digits, - and _"
        case "greater_than" | "finite_number":
            return f"{key} must be above 0, not {found:g}"
    return f"{key} must be {' or '.join(map(wanted, faults))}, not {_shown(found)}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (quote it if text is meant)"
    if isinstance(value, dict | tuple):
        return f"a {'list' if isinstance(value, tuple) else 'section'}"
    return repr(value) if isinstance(value, str) else str(value)
