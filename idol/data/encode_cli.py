"""The command `idol-prep encode`: cached latents beside a dataset's shards, and what it shows."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import tyro

from idol.config.encode import EncodeConfig
from idol.errors import IdolError
from shards.environment import limit_threads

if TYPE_CHECKING:
    from rich.progress import TaskID

    from idol.data.latents import EncodeSummary

__all__ = ["encode"]


def encode(config: tyro.conf.OmitArgPrefixes[EncodeConfig]) -> int:
    """Cache a VAE's latents beside a built dataset's shards; run it again to resume.

    `idol-train --latents` takes them in place of images (see docs/latents.md).
    """
    limit_threads()
    try:
        from idol.data.latents import encode_dataset
    except ImportError as error:
        raise IdolError(f"encoding needs the extra `train`, with diffusers: {error}") from error
    with _Progress() as progress:
        done = encode_dataset(config, planned=progress.planned, encoded=progress.encoded)
    progress.print_summary(done)
    return 0


class _Progress:
    """A bar over clips, where someone is watching."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from shards.inspect.console import QuietConsole

        self._console = QuietConsole()
        self._bar = Progress(
            TextColumn("encoding"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} clips"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None

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
        self._console.print(f"{shards} shards to encode{there}: {folder}", markup=False)
        self._task = self._bar.add_task("", total=clips)

    def encoded(self) -> None:
        assert self._task is not None
        self._bar.advance(self._task)

    def print_summary(self, done: EncodeSummary) -> None:
        """One line: the latents that exist now."""
        from shards.inspect.console import human_bytes

        each = human_bytes(done.bytes / done.clips) if done.clips else "nothing"
        self._console.print(
            f"latents of {done.clips} clips, {human_bytes(done.bytes)} ({each} a clip): "
            f"{done.shards_made} shards made, {done.shards_kept} kept"
        )
