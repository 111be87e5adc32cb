"""Recipe files: YAML that a user can read and copy, found by name or path, checked all at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pipelines.compute import Compute
from pipelines.recipe import Recipe, RecipeMistakes
from pipelines.typed import WrongType, convert, field_types
from pipelines.yaml_lines import Section, read_section
from preprocess.errors import InputError

__all__ = ["RecipeFile", "SourceEntry", "load_recipe", "packaged", "parse_recipe"]

_GPUS = ("mask", "pose", "depth")
_PAPER = {"tiktok": "paper-tiktok", "ntu120": "paper-ntu120"}
_LARGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class SourceEntry:
    """One of several sources: its own recipe, where it lies unless told otherwise, its weight."""

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
    path = Path(name).expanduser()
    texts = packaged()
    if name == "paper":
        if dataset not in _PAPER:
            told = (
                f"{dataset} has none" if dataset else "give --dataset to `build`, or its own name"
            )
            raise InputError(
                f"recipe paper is that of the dataset, {' or '.join(_PAPER)}: {told}; packaged "
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
    top = read_section(text, title)
    reader = _Reader()
    fields = field_types(Recipe)
    settings = reader.fields(top, fields, beside=("compute", "sources"))
    compute = reader.compute(top)
    usable = reader.recipe(top, settings) is not None
    sources = reader.sources(top, settings if usable else {}, fields)
    if reader.mistakes:
        lines = [f"line {line}: {text}" for line, text in sorted(set(reader.mistakes))]
        raise RecipeMistakes(lines, title)
    return RecipeFile(title, text, folder, settings, compute, sources)


class _Reader:
    """Collects the mistakes of all sections."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[int, str]] = []

    def fields(
        self, section: Section, types: Mapping[str, Any], beside: Collection[str] = ()
    ) -> dict[str, Any]:
        """The values that fit their fields; the others become mistakes."""
        self.mistakes += section.faults
        good = {}
        for key, value in section.values.items():
            line = section.lines[key]
            if key in beside:
                continue
            if key not in types:
                self.unknown(line, key, (*types, *beside))
                continue
            try:
                good[key] = convert(_plain(value), types[key])
            except WrongType as error:
                self.mistakes.append((line, f"{key} {error}"))
        return good

    def unknown(self, line: int, key: str, known: Collection[str]) -> None:
        near = difflib.get_close_matches(key.replace("-", "_"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        self.mistakes.append((line, f"{key} is unknown; {hint}"))

    def recipe(self, section: Section, settings: Mapping[str, Any]) -> Recipe | None:
        """The recipe of what fits; what contradicts itself becomes mistakes."""
        try:
            # Which dataset is often left to the command line: TikTok's allows everything.
            return Recipe(**{"dataset": "tiktok", **settings})
        except RecipeMistakes as error:
            self.contradictions(section, error)
            return None

    def contradictions(self, section: Section, error: RecipeMistakes) -> None:
        for mistake in error.mistakes:
            line = section.lines.get(mistake.split()[0], section.line)
            self.mistakes.append((line, mistake))

    def compute(self, top: Section) -> Compute:
        section = top.values.get("compute")
        if section is None:
            return Compute()
        if not isinstance(section, Section):
            self.mistakes.append((top.lines["compute"], "compute must be a section of settings"))
            return Compute()
        types = field_types(Compute)
        shares = {f"{modality}_gpus" for modality in _GPUS}
        settings = self.fields(
            section, {k: t for k, t in types.items() if k not in shares}, beside=("gpus",)
        )
        gpus = section.values.get("gpus")
        if isinstance(gpus, Section):
            given = self.fields(gpus, dict.fromkeys(_GPUS, float))
            settings |= {f"{modality}_gpus": share for modality, share in given.items()}
        elif gpus is not None:
            text = "gpus must be a section with shares for mask, pose and depth"
            self.mistakes.append((section.lines["gpus"], text))
        try:
            return Compute(**settings)
        except RecipeMistakes as error:
            self.contradictions(section, error)
            return Compute()

    def sources(
        self, top: Section, settings: Mapping[str, Any], types: Mapping[str, Any]
    ) -> tuple[SourceEntry, ...]:
        listed = top.values.get("sources")
        if listed is None:
            return ()
        line = top.lines["sources"]
        if not isinstance(listed, list) or not all(isinstance(s, Section) for s in listed):
            text = "sources must be a list, each with name, dataset and weight"
            self.mistakes.append((line, text))
            return ()
        if "dataset" in settings:
            text = "dataset is that of each source: say it there"
            self.mistakes.append((top.lines["dataset"], text))
        entries: list[SourceEntry] = []
        for section in listed:
            entry = self.source(section, settings, types)
            if entry and any(entry.name == other.name for other in entries):
                text = f"name {entry.name} is that of another source as well"
                self.mistakes.append((section.lines["name"], text))
            elif entry:
                entries.append(entry)
        return tuple(entries)

    def source(
        self, section: Section, settings: Mapping[str, Any], types: Mapping[str, Any]
    ) -> SourceEntry | None:
        own = {"name": str, "path": str, "weight": float}
        given = self.fields(section, {**own, **types})
        for wanted in ("name", "dataset", "weight"):
            if wanted not in section.values:
                self.mistakes.append((section.line, f"{wanted} is missing from this source"))
        name, weight = given.get("name"), given.get("weight")
        if name is not None and not _NAME.fullmatch(name):
            text = f"name {name!r} becomes a folder's: use letters, digits, - and _"
            self.mistakes.append((section.lines["name"], text))
        if weight is not None and not (math.isfinite(weight) and weight > 0):
            self.mistakes.append(
                (section.lines["weight"], f"weight must be above 0, not {weight:g}")
            )
        fields = {key: value for key, value in given.items() if key not in own}
        recipe = self.recipe(section, {**settings, **fields})
        if recipe is None or name is None or weight is None:
            return None
        return SourceEntry(name, given.get("path"), weight, recipe)


def _plain(value: object) -> object:
    """Sections as plain mappings, for the messages."""
    return value.values if isinstance(value, Section) else value
