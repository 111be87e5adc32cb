"""What a visitor filled in, and the command line of `idol-generate` that it is.

The command line is the only way from the page to the work, so that what is shown to be copied is
what was run. Which settings there are, and what is said of each, comes from `idol-generate`.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from idol.config.generate import GenerateConfig
from idol.errors import IdolError
from idol.generate.cli import parse
from idol.generate.inputs.options import Annotation, annotation, annotator_options, unused
from shards.options import options_of

__all__ = ["Form", "FormError", "Setting", "Settings", "as_command", "parsed", "settings"]

_COMMAND = "idol-generate"
# Of the command's options those that the page asks for otherwise, or not at all.
_NOT_SETTINGS = frozenset(
    (
        *("photo", "out", "model", "weights", "driving", "skeletons", "person_mask"),
        *("background", "background_mask", "preview", "overwrite", "c2pa"),
    )
)
_FIRST = ("seed", "steps", "guidance", "frames", "keep_background", "fill_hole")


class FormError(IdolError):
    """Something is missing in what was filled in, or cannot be read."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """An option of `idol-generate` on the page.

    Attributes:
        name: of the field.
        kind: of what is filled in.
        usual: what holds where nothing is given, and what the page begins with.
        help: what the command's help says of it.
        choices: of a choice; the empty one is that of the command.
    """

    name: str
    kind: Literal["whole number", "number", "choice", "switch", "text"]
    usual: Any
    help: str
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """On the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def label(self) -> str:
        """On the page."""
        return self.name.replace("_", " ").capitalize()

    def arguments(self, value: Any) -> list[str]:
        """Of the command line; none where the value is the usual one.

        Raises FormError for what is no such value.
        """
        if value is None or value == self.usual:
            return []
        if self.kind == "switch":
            return [self.option if value else f"--no-{self.option[2:]}"]
        text = f"{value:.12g}" if isinstance(value, float) else str(value).strip()
        if not text:
            return []
        if self.kind == "whole number" and not text.removeprefix("-").isdecimal():
            raise FormError(f"{self.label} must be a whole number, not {text}")
        if self.kind == "number" and not _is_number(text):
            raise FormError(f"{self.label} must be a number, as in 1.5, not {text}")
        if self.kind == "text" and text.startswith("-"):
            raise FormError(f"{self.label} cannot be {text}")
        return [self.option, text]


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings: those seen at once, those of generation, those of annotators."""

    first: tuple[Setting, ...]
    more: tuple[Setting, ...]
    annotators: tuple[Setting, ...]

    @property
    def all(self) -> tuple[Setting, ...]:
        return self.first + self.more + self.annotators


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def settings() -> Settings:
    """The options of `idol-generate` that the page shows, in its order."""
    own = get_type_hints(options_of(GenerateConfig), include_extras=True)
    usual = {field.name: field.default for field in dataclasses.fields(GenerateConfig)}
    of_generation = {
        name: _setting(name, hint, usual[name])
        for name, hint in own.items()
        if name not in _NOT_SETTINGS
    }
    choice = annotation({}).choice
    return Settings(
        tuple(of_generation[name] for name in _FIRST),
        tuple(setting for name, setting in of_generation.items() if name not in _FIRST),
        tuple(_setting(n, hint, getattr(choice, n)) for n, hint in annotator_options().items()),
    )


def _setting(name: str, hint: Any, usual: Any) -> Setting:
    plain, *marks = get_args(hint)
    said = next((mark.help for mark in marks if getattr(mark, "help", None)), "")
    kinds = [k for k in (get_args(plain) or (plain,)) if k is not type(None)]
    if get_origin(plain) is Literal:
        kinds = [plain]
    if get_origin(kinds[0]) is Literal:
        choices = tuple(map(str, get_args(kinds[0])))
        return Setting(name, "choice", usual, said, choices)
    kind = {bool: "switch", int: "whole number", float: "number"}.get(kinds[0], "text")
    return Setting(name, kind, usual, said)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What was filled in: files by their paths, clips as DATASET::KEY, settings by their names."""

    photo: str | None = None
    person_mask: str | None = None
    person_clip: str | None = None
    driving: str | None = None
    driving_clip: str | None = None
    background: str | None = None
    background_mask: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def arguments(
        self, known: Settings, *, out: Path, model: Path | None, weights: Path | None
    ) -> list[str]:
        """The command line, without the command's name and what is not used by it.

        Raises FormError naming what is missing.
        """
        person = _clip(self.person_clip, "the person's clip") or self.photo
        motion = _clip(self.driving_clip, "the motion's clip") or self.driving
        if not person:
            raise FormError("Who is to move? Give a photo, or choose a clip.")
        if not motion:
            raise FormError("How are they to move? Give a driving video, or choose a clip.")
        given = [person, "--driving", motion]
        if self.person_clip is None:
            for name in ("person_mask", "background", "background_mask"):
                if path := getattr(self, name):
                    given += [f"--{name.replace('_', '-')}", path]
        masked = self.person_clip is None and self.person_mask is not None
        without = unused(person, motion, masked=masked)
        for setting in (setting for setting in known.all if setting.name not in without):
            given += setting.arguments(self.settings.get(setting.name, setting.usual))
        for option, path in (("--model", model), ("--weights", weights)):
            if path is not None:
                given += [option, str(path)]
        return [*given, "--out", str(out)]


def _clip(text: str | None, which: str) -> str | None:
    text = (text or "").strip()
    if text and ("::" not in text or text.startswith("-")):
        raise FormError(
            f"{text}: {which} is named as DATASET::KEY, and `idol-shards ls` lists keys"
        )
    return text or None


def parsed(arguments: Sequence[str]) -> tuple[GenerateConfig, Annotation]:
    """As `idol-generate` reads them. Raises ConfigError, or FormError where it cannot."""
    try:
        return parse(arguments)
    except SystemExit as stop:
        raise FormError(f"this cannot be read: {as_command(arguments)}") from stop


def as_command(arguments: Sequence[str]) -> str:
    """As it is typed in a shell."""
    return shlex.join([_COMMAND, *arguments])
