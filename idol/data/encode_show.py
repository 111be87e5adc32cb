"""What `idol-prep encode` shows: progress, and what was made."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import rich.progress
from rich.markup import escape

from idol.data.encode import EncodeReporter, EncodeSummary
from shards.inspect.console import QuietConsole, human_bytes

__all__ = ["Progress", "summary"]

console = QuietConsole()


class Progress(EncodeReporter):
    """A bar over clips, where someone is watching."""

    def __init__(self) -> None:
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("encoding"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.completed:.0f} of {task.total:.0f} clips"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: rich.progress.TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def planned(self, folder: str, clips: int, shards: int, kept: int) -> None:
        there = f", {kept} are there" if kept else ""
        console.print(f"{shards} shards to encode{there}: {escape(folder)}")
        self._task = self._bar.add_task("", total=clips)

    def encoded(self) -> None:
        assert self._task is not None
        self._bar.advance(self._task)


def summary(done: EncodeSummary) -> None:
    """One line of what is there now."""
    each = human_bytes(done.bytes / done.clips) if done.clips else "nothing"
    console.print(
        f"latents of {done.clips} clips, {human_bytes(done.bytes)} ({each} a clip): "
        f"{done.shards_made} shards made, {done.shards_kept} kept"
    )
