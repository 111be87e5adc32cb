"""How far a generation is, and how long it takes: a line a stage, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from shards.inspect.console import QuietConsole, human_duration

__all__ = ["Advance", "Bars", "Stages"]

Advance = Callable[[int, int], None]
"""Takes how much is done, and of how much."""


class Stages(Protocol):
    """Is told of the stages of the work: "person", "motion", "denoising", "writing"."""

    def stage(self, name: str, done: int = 0) -> AbstractContextManager[Advance]:
        """A stage of the work, of which so much is done; what is given is told how far it is."""
        ...


class Bars:
    """Bars on stderr; where nobody watches, a line at each stage's end."""

    def __init__(self) -> None:
        self._console = QuietConsole(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def stage(self, name: str, done: int = 0) -> Iterator[Advance]:
        """A stage of the work, of which so much is done; what is given is told how far it is."""
        task = self._progress.add_task(name, total=None, completed=done)
        last = [done, 0]
        began = time.monotonic()

        def advance(finished: int, of: int) -> None:
            last[:] = finished, of
            self._progress.update(task, completed=finished, total=of)

        yield advance
        if not last[1]:
            advance(1, 1)
        elif not self._console.is_terminal:
            took = human_duration(time.monotonic() - began)
            self._console.print(f"{name}: {last[0]} of {last[1]}, {took}", highlight=False)
