"""The paper's tables: published rows, and ours in the same columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from idol.config.checks import ConfigError
from idol.evaluate.metrics import METRICS

__all__ = ["COLUMNS", "TABLES", "Published", "latex_rows", "markdown_rows", "published", "row_of"]

COLUMNS = ("fid_fvd", "fvd", "depth_rmse", "fid")
"""Columns of Tables 1 and 2: video, video, depth, image."""

TABLES = ("tab1", "tab2", "tab3", "tab4", "tab5", "tab6", "tab8")

_HEADS = {"fid_fvd": "FID-FVD", "fvd": "FVD", "depth_rmse": "L2", "fid": "FID"}
_ESTIMATED = {"hdnet": "†", "midas": "‡"}
_OTHER_ESTIMATED = "§"
_LATEX_MARKS = {"†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"$^\S$"}


@dataclass(frozen=True)
class Published:
    """A row as published: the method, its data, values by metric, and the mark of its depth."""

    method: str
    data: str
    values: Mapping[str, float]
    mark: str = ""


@cache
def published(table: str) -> tuple[str, tuple[Published, ...]]:
    """The title and the rows of one of the paper's tables. Raises ConfigError for another."""
    import yaml

    if table not in TABLES:
        raise ConfigError(f"--paper {table} is unknown; there are: {', '.join(TABLES)}")
    text = resources.files("idol.evaluate").joinpath("paper.yaml").read_text(encoding="utf-8")
    said = yaml.safe_load(text)[table]
    rows = tuple(
        Published(
            row["method"],
            row["data"],
            {name: row[name] for name in COLUMNS if name in row},
            row.get("mark", ""),
        )
        for row in said["rows"]
    )
    return said["title"], rows


def row_of(scores: Mapping[str, Any]) -> Published:
    """Our row, of what `scores.json` says."""
    values = {n: scores["metrics"][n]["value"] for n in COLUMNS if n in scores["metrics"]}
    by = scores["depth_estimated_by"]
    mark = "" if by is None else _ESTIMATED.get(by, _OTHER_ESTIMATED)
    data = ", ".join(scores["reference"].get("datasets", [])) or scores["reference"]["path"]
    return Published(scores["name"], data, values, mark)


def cells(row: Published) -> list[str]:
    """The values of a row as the paper prints them."""
    shown = []
    for name in COLUMNS:
        value = row.values.get(name)
        mark = row.mark if name == "depth_rmse" and value is not None else ""
        shown.append("-" if value is None else f"{value:.{METRICS[name].digits}f}{mark}")
    return shown


def markdown_rows(rows: Sequence[Published], note: str) -> str:
    """A table in Markdown, in the paper's columns, with what it was measured by under it."""
    lines = [
        "| Method | " + " | ".join(f"{_HEADS[name]} ↓" for name in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
        *(f"| {row.method} | " + " | ".join(cells(row)) + " |" for row in rows),
        "",
        note,
    ]
    return "\n".join(lines) + "\n"


def latex_rows(rows: Sequence[Published], note: str) -> str:
    """Rows for a tabular of `lcccc`, in the paper's columns, with what they were measured by in
    a comment."""
    lines = [
        *(f"% {line}" for line in note.splitlines()),
        r" & \multicolumn{2}{c}{Video} & Depth & Image \\",
        "Method & " + " & ".join(rf"{_HEADS[n]}$\downarrow$" for n in COLUMNS) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        values = " & ".join(cells(row))
        for mark, command in _LATEX_MARKS.items():
            values = values.replace(mark, command)
        lines.append(f"{_escaped(row.method)} & {values} " + r"\\")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}"}
    return "".join(special.get(c, c) for c in text)
