"""Progress on stderr: a bar where somebody looks at it, and else a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from shards.inspect.console import QuietConsole, human_duration

__all__ = ["Told", "progress"]

_LINE_SECONDS = 10.0

Told = Callable[[str, int, int], None]
"""Takes what is done, such as "scored", and how many clips of how many."""


@contextmanager
def progress(*, clock: Callable[[], float] = time.monotonic) -> Iterator[Told]:
    """A bar of clips with the time left; where nothing is redrawn, lines: the first and the last
    of each kind of work, and every ten seconds between."""
    console = QuietConsole(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks = {}
        began, shown = clock(), float("-inf")

        def told(what: str, done: int, of: int) -> None:
            nonlocal began, shown
            if what not in tasks:
                tasks[what] = bar.add_task(what)
                began, shown = clock(), float("-inf")
            bar.update(tasks[what], completed=done, total=of)
            now = clock()
            if not console.is_terminal and (now - shown >= _LINE_SECONDS or done == of):
                shown = now
                took = human_duration(now - began)
                console.print(f"{what}: {done} of {of} clips, {took}", highlight=False)

        yield told
