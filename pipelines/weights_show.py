"""How `idol-prep weights` looks: the table of files, and downloads while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from preprocess.weights import ExternalFile, Reporter, Sdist, State, Wheel
from shards.inspect.console import human_bytes

__all__ = ["downloads", "table"]

_COLOURS: dict[State, str] = {
    "ok": "green",
    "absent": "yellow",
    "damaged": "red",
    "unrecorded": "cyan",
}
# Narrower than this, the licence and the source go above the files that share them.
_WIDE = 120


def table(title: str, states: dict[ExternalFile, State], width: int) -> Table:
    """The registry's files by group, readable from 80 columns on."""
    wide = width >= _WIDE
    shown = Table(title=title, title_justify="left", show_edge=False, pad_edge=False, box=None)
    shown.add_column("file", overflow="fold")
    shown.add_column("size", no_wrap=True, justify="right")
    if wide:
        shown.add_column("licence", overflow="fold")
        shown.add_column("from", overflow="fold")
    shown.add_column("here", no_wrap=True)
    above = None
    for entry, state in states.items():
        size = human_bytes(entry.bytes) if entry.bytes else "?"
        here = f"[{_COLOURS[state]}]{state}[/]"
        if wide:
            shown.add_row(entry.name, size, entry.licence, entry.source.label, here)
            continue
        origin = f"[dim]{entry.licence}; {entry.source.label}[/]"
        if origin != above:
            shown.add_row(origin)
            above = origin
        shown.add_row(entry.name, size, here)
    return shown


@contextmanager
def downloads(console: Console) -> Iterator[Reporter]:
    """A reporter that shows a bar for each download on a terminal, and a line elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Shown(console, progress)


class _Shown(Reporter):
    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._tasks: dict[str, TaskID] = {}

    def package(self, package: Wheel | Sdist) -> None:
        self._say(f"fetching {package.package}=={package.version}")

    def started(self, entry: ExternalFile, here: int, total: int | None) -> None:
        if entry.name in self._tasks:
            self._progress.update(self._tasks[entry.name], completed=here, total=total)
            return
        size = human_bytes(total) if total else "of unknown size"
        going_on = f", going on from {human_bytes(here)}" if here else ""
        self._say(f"fetching {entry.name} ({size}) from {entry.source.label}{going_on}")
        name = entry.name.rsplit("/", 1)[-1]
        self._tasks[entry.name] = self._progress.add_task(name, completed=here, total=total)

    def advanced(self, entry: ExternalFile, by: int) -> None:
        self._progress.advance(self._tasks[entry.name], by)

    def interrupted(self, entry: ExternalFile, reason: str, wait: float) -> None:
        again = f"again in {wait:.0f} s" if wait else "again"
        self._say(f"  {entry.name}: {reason}; {again}")

    def waiting(self, entry: ExternalFile) -> None:
        self._say(f"  {entry.name}: another process is fetching it; waiting")

    def checking(self, entry: ExternalFile) -> None:
        if entry.name in self._tasks:
            self._progress.update(self._tasks[entry.name], description="comparing checksums")

    def placed(self, entry: ExternalFile) -> None:
        if entry.name in self._tasks:
            self._progress.remove_task(self._tasks.pop(entry.name))

    def _say(self, line: str) -> None:
        # Reasons are others' words: no markup.
        self._console.print(line, markup=False, highlight=False)
