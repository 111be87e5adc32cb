"""The command `idol-prep encode`: cached latents beside a dataset's shards, and what it shows."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import rich.progress
import tyro
from rich.markup import escape

from idol.config.encode import EncodeConfig
from idol.errors import IdolError
from shards.inspect.console import QuietConsole, human_bytes

if TYPE_CHECKING:
    from idol.data.latents import EncodeSummary

__all__ = ["encode"]

console = QuietConsole()


def encode(config: tyro.conf.OmitArgPrefixes[EncodeConfig]) -> int:
    """Cache a VAE's latents beside a built dataset's shards; run it again to resume.

    `idol-train --latents` takes them in place of images (see docs/latents.md).
    """
    try:
        from idol.data.latents import encode_dataset
    except ImportError as error:
        raise IdolError(f"encoding needs the extra `train`, with diffusers: {error}") from error
    with _Progress() as progress:
        done = encode_dataset(config, planned=progress.planned, encoded=progress.encoded)
    _print_summary(done)
    return 0


class _Progress:
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


def _print_summary(done: EncodeSummary) -> None:
    each = human_bytes(done.bytes / done.clips) if done.clips else "nothing"
    console.print(
        f"latents of {done.clips} clips, {human_bytes(done.bytes)} ({each} a clip): "
        f"{done.shards_made} shards made, {done.shards_kept} kept"
    )
