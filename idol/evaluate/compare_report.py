"""What `idol-eval compare` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from idol.evaluate.errors import EvaluationError
from idol.evaluate.metrics import METRICS
from idol.evaluate.paper import COLUMNS, cells, published, row_of
from idol.evaluate.report import interval, shown
from shards.inspect.console import QuietConsole

__all__ = ["print_comparison", "print_paper"]

# The protocol that is our guess at the paper's; nobody but its authors knows.
_GUESS = "idol-8"


def print_comparison(
    compared: Mapping[str, Any], *, as_json: bool, console: Console | None = None
) -> None:
    """Print results side by side, and the differences of each from the first with intervals."""
    console = console or QuietConsole()
    if as_json:
        console.print_json(json.dumps(compared))
        return
    results = compared["results"]
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for result in results:
        table.add_column(result["name"], justify="right")
    for result in compared["differences"]:
        table.add_column(f"{result['name']} - {compared['against']}", justify="right")
        table.add_column("95 % over videos", justify="right")
        table.add_column("better", justify="left")
    for name, metric in METRICS.items():
        if not any(name in result["metrics"] for result in results):
            continue
        values = [
            shown(name, r["metrics"][name]["value"]) if name in r["metrics"] else "-"
            for r in results
        ]
        more = []
        for other in compared["differences"]:
            found = other["metrics"].get(name)
            if found is None:
                more += ["-", other["not_compared"].get(name, ""), ""]
            else:
                more += [shown(name, found["value"]), interval(name, found)]
                more.append(_better(name, found, other["name"], compared["against"]))
        table.add_row(metric.title, *values, *more)
    console.print(table)
    said = compared["protocol"]
    console.print(
        f"\nProtocol {said['name']} ({said['hash'][:12]}): {said['title']}.\n"
        f"Reference {compared['reference'][:12]}. Differences are paired over videos.",
        highlight=False,
    )


def _better(name: str, found: Mapping[str, Any], other: str, first: str) -> str:
    """Who is better, where the interval says so."""
    low, high, better = found["low"], found["high"], METRICS[name].better
    if low is None or better == "one" or low <= 0 <= high or METRICS[name].beside:
        return ""
    return other if (high < 0) == (better == "lower") else first


def print_paper(
    name: str,
    results: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    console: Console | None = None,
) -> None:
    """Print a table of the paper's with our rows under it, marked where they are of other data, or
    measured otherwise.

    Raises ConfigError for an unknown table, EvaluationError for results of different protocols.
    """
    console = console or QuietConsole()
    protocols = {r["protocol"]["hash"]: r["protocol"]["name"] for r in results}
    if len(protocols) > 1:
        raise EvaluationError(
            f"results are of protocols {' and '.join(protocols.values())}: numbers of different "
            "protocols do not go into one table; compare those of one at a time"
        )
    title, rows = published(name)
    if as_json:
        said = {
            "title": title,
            "published": [
                {"method": r.method, "data": r.data, "mark": r.mark, **r.values} for r in rows
            ],
            "ours": [
                {"method": r["name"], **row_of(r).values, "marks": _differs(r)} for r in results
            ],
        }
        console.print_json(json.dumps(said))
        return
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("method")
    table.add_column("data")
    for column in COLUMNS:
        table.add_column(f"{METRICS[column].title} ↓", justify="right")
    table.add_column("")
    data = ""
    for row in rows:
        if data and row.data != data:
            table.add_section()
        data = row.data
        table.add_row(row.method, row.data, *cells(row))
    table.add_section()
    marks: dict[str, str] = {}
    for result in results:
        letters = [marks.setdefault(text, chr(ord("a") + len(marks))) for text in _differs(result)]
        row = row_of(result)
        table.add_row(row.method, row.data, *cells(row), ",".join(letters))
    console.print(table)
    for text, letter in marks.items():
        console.print(f"{letter}  {text}", highlight=False)


def _differs(result: Mapping[str, Any]) -> list[str]:
    """How a row of ours is not what the paper's rows are."""
    said = result["protocol"]
    datasets = result["reference"].get("datasets", [])
    differs = []
    if said["name"] == _GUESS:
        differs.append(
            f"protocol {said['name']} ({said['hash'][:12]}), our guess at the paper's, which is "
            "not published"
        )
    else:
        differs.append(
            f"other protocol: {said['name']} ({said['hash'][:12]}); the paper's is not published"
        )
    if set(datasets) - {"tiktok", "ntu"} or not datasets:
        what = ", ".join(datasets) or result["reference"]["path"]
        differs.append(f"other data: {what}, {result['counts']['videos']} videos")
    else:
        differs.append(
            f"{', '.join(datasets)}, {result['counts']['videos']} videos: the paper's own choice "
            "of videos and their depth is not public"
        )
    if by := result["depth_estimated_by"]:
        differs.append(f"depth estimated afterwards by {by}")
    return differs
