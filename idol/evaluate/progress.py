"""Progress on stderr, where somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shards.inspect.console import QuietConsole

__all__ = ["progress"]


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of clips with the time left; what is given tells it how many of how many are done."""
    console = QuietConsole(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
