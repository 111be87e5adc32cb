"""What `idol-eval` prints and writes: tables for people, JSON for machines."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from idol.evaluate.metrics import METRICS
from idol.evaluate.paper import latex_rows, markdown_rows, row_of
from idol.evaluate.protocols import NAMES, protocol
from shards.files.atomic import atomic_file
from shards.files.digest import canonical_json
from shards.inspect.console import QuietConsole

__all__ = [
    "SCORES",
    "TABLES",
    "interval",
    "note",
    "print_protocols",
    "print_scores",
    "shown",
    "write_scores",
]

SCORES = "scores.json"
TABLES = ("table.md", "table.tex")

_ARROWS = {"lower": "↓", "higher": "↑", "one": "→1", "neither": ""}


def print_protocols(name: str, *, as_json: bool, console: Console | None = None) -> None:
    """Print the list of protocols, or all that one of them says.

    Raises ConfigError for an unknown name.
    """
    console = console or QuietConsole()
    if as_json or name:
        chosen = [name] if name else NAMES
        values = {each: dataclasses.asdict(protocol(each)) for each in chosen}
        console.print_json(json.dumps(values[name] if name else values))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("protocol", "hash", "frames", "images", "container", ""):
        table.add_column(column)
    for each in map(protocol, NAMES):
        container = each.snippets.container
        table.add_row(
            each.name,
            each.hash[:12],
            str(each.snippets.frames),
            each.images.frames,
            container if isinstance(container, str) else f"{container.codec} {container.crf}",
            each.title,
        )
    console.print(table)


def shown(name: str, value: float) -> str:
    """A metric's value with the digits that tables give it."""
    return "-" if not math.isfinite(value) else f"{value:.{METRICS[name].digits}f}"


def interval(name: str, found: Mapping[str, Any]) -> str:
    """An interval as tables show it, with the coverage that was measured where it is not 95 %.

    Empty where there is none.
    """
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return ""
    text = f"{shown(name, low)} to {shown(name, high)}"
    if not (covers := found.get("coverage")):
        return text
    least, most = (f"{100 * share:.0f}" for share in covers)
    return f"{text} (covers {least} %)" if least == most else f"{text} (covers {least}-{most} %)"


def note(scores: Mapping[str, Any]) -> str:
    """Of which protocol, sets and networks the numbers are: under every table."""
    counts, said = scores["counts"], scores["protocol"]
    lines = [
        f"Protocol {said['name']} ({said['hash'][:12]}): {said['title']}.",
        f"{counts['videos']} videos, {counts['clips']} clips, {counts['frames']} frames; "
        f"generated {scores['generated']['sha256'][:12]}, "
        f"reference {scores['reference']['sha256'][:12]}.",
    ]
    if scores["generated"]["sha256"] == scores["reference"]["sha256"]:
        lines.append("The generated frames and depth ARE the reference's.")
    networks = {n["name"]: n["sha256"][:12] for n in scores["networks"].values()}
    if networks:
        lines.append("Networks: " + ", ".join(f"{n} ({s})" for n, s in networks.items()) + ".")
    if counts["frames_resized"]:
        lines.append(f"{counts['frames_resized']} generated frames took the reference's size.")
    if by := scores["depth_estimated_by"]:
        lines.append(f"Depth was estimated afterwards, by {by}, from the generated frames.")
    return "\n".join(lines)


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the table of a result, what could not be computed and why, and what it is of."""
    console = console or QuietConsole()
    table = Table(title=scores["name"], box=None, pad_edge=False, title_justify="left")
    table.add_column("metric")
    table.add_column("", justify="center")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("95 % over videos", justify="right")
    table.add_column("videos", justify="right")
    for name, found in scores["metrics"].items():
        metric = METRICS[name]
        title = f"  {metric.title}" if metric.beside else metric.title
        table.add_row(
            title,
            _ARROWS[metric.better],
            shown(name, found["value"]),
            metric.unit,
            interval(name, found),
            str(found["videos"]),
        )
    console.print(table)
    left_out = {n: m["left_out"] for n, m in scores["metrics"].items() if "left_out" in m}
    if left_out:
        console.print("\nLeft out:")
        for name, said in left_out.items():
            some = f"{said['videos']} of {scores['counts']['videos']} videos"
            console.print(f"  {name}: {some}: {said['why']}", highlight=False)
    if absent := scores["not_computed"]:
        console.print("\nNot computed:")
        reasons: dict[str, list[str]] = {}
        for name, why in absent.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            console.print(f"  {', '.join(names)}: {why}", highlight=False)
    console.print(f"\n{note(scores)}", highlight=False)


def write_scores(scores: Mapping[str, Any], out: Path) -> None:
    """Write scores.json, and rows laid out like the paper's Tables 1 and 2: table.md, table.tex."""
    rows = [row_of(scores)]
    tables = (laid_out(rows, note(scores)).encode() for laid_out in (markdown_rows, latex_rows))
    files = {SCORES: canonical_json(scores, indent=1), **dict(zip(TABLES, tables, strict=True))}
    for name, data in files.items():
        with atomic_file(out / name) as temporary:
            temporary.write_bytes(data)
