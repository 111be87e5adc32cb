"""Which annotators are compared: those that are installed, or those that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from preprocess import load
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import ANNOTATORS, NONE
from preprocess.annotators.spec import CropMode, Hardware, Modality, Record, Spec
from preprocess.errors import InputError
from preprocess.load import Annotators

__all__ = ["Entry", "LeftOut", "Option", "find_entries"]

Option = Literal["mask", "pose", "depth"]
_OPTIONS: tuple[Option, ...] = ("mask", "pose", "depth")

# Whose masks say where the person is of whom a depth annotator tells the depth.
_MASK_OF_DEPTH = "lite"


@dataclass(frozen=True, eq=False)
class Entry:
    """An annotator, loaded as a build loads it: alone but for what it needs, or with those that
    read the lite tracker too, whose `annotators` are then one value."""

    option: Option
    name: str  # as the option takes it
    annotators: Annotators

    @property
    def record(self) -> Record:
        """Its version and the checksums of its weights."""
        by = self.annotators
        return by.depths[0].record if self.option == "depth" else by.records[self.option]


@dataclass(frozen=True)
class LeftOut:
    """An annotator that is not there, and what to do."""

    option: Option
    name: str
    reason: str


def find_entries(
    asked: dict[Option, Sequence[str] | None],
    *,
    crop: CropMode = "none",
    hardware: Hardware | None = None,
) -> tuple[list[Entry], list[LeftOut]]:
    """asked: of each option the annotators' names, or None for all that are installed.

    Raises InputError for an annotator that was asked for and is not known or not installed, and
    where none is left.
    """
    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    for option in _OPTIONS:
        names = asked[option]
        for name in _all(option) if names is None else names:
            if name == NONE:
                continue
            try:
                choice = _choice(option, name, crop)
                entries.append(Entry(option, name, load.load(choice, hardware=hardware)))
            except InputError as error:
                if names is not None:
                    raise InputError(f"--{option} {name}: {error}") from error
                left_out.append(LeftOut(option, name, str(error)))
    if not entries:
        raise InputError(
            "no annotator is installed: `idol-prep weights fetch lite` fetches the small ones"
        )
    return _tracked_together(entries, hardware), left_out


def _tracked_together(entries: list[Entry], hardware: Hardware | None) -> list[Entry]:
    """Those that read the lite tracker make their clips together, as in the usual recipe: the
    tracker, which takes most of the time, runs once."""
    together = {
        e.option: e for e in entries if e.annotators.chosen[_modality(e)].spec.needs_tracker
    }
    if len(together) < 2:
        return entries
    changes: dict[str, Any] = {
        option: (e.name,) if option == "depth" else e.name for option, e in together.items()
    }
    first = together.get("depth", next(iter(together.values())))  # whose masks depth needs
    choice = replace(first.annotators.choice, **changes)
    shared = load.load(choice, hardware=hardware)
    return [replace(e, annotators=shared) if e in together.values() else e for e in entries]


def _modality(entry: Entry) -> Modality:
    return entry.annotators.depths[0].spec.fills[0] if entry.option == "depth" else entry.option


def _all(option: Option) -> list[str]:
    """Names of all that make something themselves, those with a parameter by its default."""
    found = (s for s in ANNOTATORS if s.option == option and s.name != "source")
    return [_typed(spec) for spec in found]


def _typed(spec: Spec) -> str:
    return f"{spec.name}:{spec.default}" if spec.parameter and spec.default else spec.name


def _choice(option: Option, name: str, crop: CropMode) -> AnnotatorChoice:
    """Raises InputError for a name that the option does not know."""
    nobody = AnnotatorChoice(mask=NONE, pose=NONE, depth=(NONE,), crop=crop)
    changes: dict[str, Any] = {option: (name,) if option == "depth" else name}
    choice = replace(nobody, **changes)
    if option == "depth" and any(not chosen.spec.whole_frame for chosen in choice.depths):
        choice = replace(choice, mask="source" if name == "source" else _MASK_OF_DEPTH)
    if mistakes := list(choice.mistakes()):
        parameter = next((s.parameter for s in ANNOTATORS if s.name == name), None)
        if parameter:
            raise InputError(f"say which: --{option} {name}:{parameter}")
        raise InputError("; ".join(mistakes))
    return choice
