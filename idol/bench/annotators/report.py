"""`idol-bench annotators`: what is compared, the tables, the json."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from idol.bench.annotators.compare import CLIP_LENGTH, Compared, compare
from idol.bench.annotators.entries import Entry, LeftOut, Option, find_entries
from idol.bench.annotators.tally import Row, Tally, mean_figures, tallied
from idol.bench.annotators.truth import ATTRIBUTES
from idol.bench.annotators.worst import Worst
from idol.config.bench import AnnotatorBenchConfig
from idol.config.checks import ConfigError
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError
from preprocess.sources.people.source import listing_of
from preprocess.sources.people.spec import PeopleSpec, load_spec
from shards.files.atomic import write_atomically
from shards.files.digest import canonical_json

__all__ = ["OWN_SPEC", "print_report"]

SCHEMA = 1
OWN_SPEC = Path(__file__).with_name("people.yaml")


@dataclass(frozen=True)
class _Column:
    """A figure as a table shows it: times `scale`, with so many decimals."""

    figure: str
    head: str
    scale: float = 1.0
    decimals: int = 1

    def cell(self, figures: dict[str, float]) -> str:
        value = figures[self.figure]
        return "-" if math.isnan(value) else f"{self.scale * value:.{self.decimals}f}"


_MISSED = (_Column("missed", "missed %", 100), _Column("wrong", "wrong %", 100))
_COLUMNS: dict[Option, tuple[_Column, ...]] = {
    "pose": (
        _Column("pck_10", "PCK@0.1", 1, 3),
        _Column("pck_05", "PCK@0.05", 1, 3),
        _Column("pck_10_hidden", "hidden @0.1", 1, 3),
        _Column("error", "error %", 100),
        _Column("swapped", "swapped %", 100),
        _Column("jitter", "jitter %", 100, 2),
        *_MISSED,
    ),
    "mask": (
        _Column("iou", "IoU", 1, 3),
        _Column("boundary_f", "boundary F1", 1, 3),
        _Column("flicker", "flicker %", 100),
        *_MISSED,
    ),
    "depth": (
        _Column("error_cm", "error cm"),
        _Column("of_flat", "of flat", 1, 2),
        _Column("aligned_cm", "aligned cm"),
        _Column("aligned_of_flat", "of flat", 1, 2),
        _Column("flicker_cm", "flicker cm", 1, 2),
        _Column("covered", "covered %", 100),
        *_MISSED,
    ),
}
_TITLES: dict[Option, str] = {
    "pose": "Key points of the body; error and jitter in % of the person's box, its longer side",
    "mask": "Masks; flicker in % of the person's area",
    "depth": "Depth of people about the mid-hip, and aligned by scale and shift; flat: a flat mask",
}


def print_report(options: AnnotatorBenchConfig, console: Console | None = None) -> None:
    """Compare, print a table of each kind of annotator and of each annotator by attribute, and
    write the json and the pictures that were asked for.

    Raises InputError for a spec with mistakes and for annotators that were asked for and are not
    there, ConfigError for a GPU that is not there.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    for path, kind in ((options.json, "file"), (options.worst, "folder")):
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path.absolute().parent} is no folder: make it, or choose another")
        if path.exists() and path.is_dir() != (kind == "folder"):
            raise InputError(f"{path} is there, and is no {kind}: name a {kind}")
    path = options.source or OWN_SPEC
    spec = _spec(options, path)
    asked: dict[Option, Any] = {
        "mask": options.mask,
        "pose": options.pose,
        "depth": options.depth,
    }
    entries, left_out = find_entries(asked, crop=options.crop, hardware=_hardware(options.device))
    worst = Worst() if options.worst else None
    tallies = tallied(_looked_at(spec, path, entries, options, worst), entries)
    for option in _COLUMNS:
        if of := [tally for tally in tallies if tally.entry.option == option]:
            console.print(_overview(option, of))
    for tally in tallies:
        console.print(_by_attribute(tally))
    for one in left_out:
        console.print(f"--{one.option} {one.name} is left out: {one.reason}", highlight=False)
    for tally in tallies:
        for reason, number in sorted(tally.reasons.items()):
            console.print(f"{_called(tally.entry)}: {number} clips were not made: {reason}")
    if options.json:
        found = _json(spec, path, options, tallies, left_out)
        write_atomically(options.json, canonical_json(found, indent=1))
        console.print(f"all figures, of every frame too: {options.json}")
    if worst is not None and options.worst:
        for written in worst.write(options.worst):
            console.print(f"the worst frames: {written}")


def _spec(options: AnnotatorBenchConfig, path: Path) -> PeopleSpec:
    spec = load_spec(path)
    changes = {
        name: value
        for name, value in (("videos", options.videos), ("seed", options.seed))
        if value is not None
    }
    return PeopleSpec.model_validate({**spec.model_dump(), **changes})


def _hardware(device: str) -> Hardware:
    if device != "cpu":
        import torch

        there = torch.cuda.is_available()
        if device == "cuda" and not there:
            raise ConfigError("--device cuda: there is no GPU; use cpu or auto")
        device = "cuda" if there else "cpu"
    return Hardware(device)


def _looked_at(
    spec: PeopleSpec,
    path: Path,
    entries: list[Entry],
    options: AnnotatorBenchConfig,
    worst: Worst | None,
) -> Iterator[Compared]:
    videos = listing_of(spec, path).videos
    size = options.size or max(spec.width, spec.height)
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("videos", total=len(videos))
        for one in compare(videos, entries, size=size, on_video=lambda: bar.advance(task)):
            if worst is not None:
                worst.look(one)
            yield one


def _called(entry: Entry) -> str:
    return f"--{entry.option} {entry.name}"


def _overview(option: Option, tallies: list[Tally]) -> Table:
    table = _table(option, _TITLES[option], "annotator", "frames/s")
    for tally in tallies:
        speed = f"{tally.frames_a_second:.1f}"
        _add(table, option, tally.entry.name, tally.rows, tally, speed)
    return table


def _by_attribute(tally: Tally) -> Table:
    option = tally.entry.option
    table = _table(option, f"{_called(tally.entry)}, by the kind of frame", "frames that", "frames")
    for attribute, values in ATTRIBUTES.items():
        for value in values:
            if rows := tally.of(attribute, value):
                _add(table, option, f"{attribute}: {value}", rows, tally, str(len(rows)))
        table.add_section()
    return table


def _table(option: Option, title: str, first: str, last: str) -> Table:
    table = Table(title=title)
    table.add_column(first)
    for column in _COLUMNS[option]:
        table.add_column(column.head, justify="right")
    table.add_column(last, justify="right")
    return table


def _add(
    table: Table, option: Option, first: str, rows: list[Row], tally: Tally, last: str
) -> None:
    figures = mean_figures(rows, tally.names)
    table.add_row(first, *(column.cell(figures) for column in _COLUMNS[option]), last)


def _json(
    spec: PeopleSpec,
    path: Path,
    options: AnnotatorBenchConfig,
    tallies: list[Tally],
    left_out: list[LeftOut],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "source": path.name,
        "spec": spec.model_dump(mode="json"),
        "clip_length": CLIP_LENGTH,
        "crop": options.crop,
        "size": options.size or max(spec.width, spec.height),
        "attributes": {name: list(values) for name, values in ATTRIBUTES.items()},
        "annotators": [tally.as_json() for tally in tallies],
        "left_out": [
            {"option": one.option, "name": one.name, "reason": one.reason} for one in left_out
        ],
    }
