"""What a terminal, or a file of a cluster's job, shows of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from idol.train.values import StepReport
from shards.inspect.console import human_bytes

__all__ = ["LineProgress", "ProgressDisplay", "TerminalProgress", "describe", "duration"]

_LINE_EVERY = 10.0

_SHORT = {
    "total": "loss",
    "denoise_video": "video",
    "denoise_depth": "depth",
    "motion": "motion",
    "cross_attention": "xattn",
}


class ProgressDisplay(Protocol):
    """Shows steps as they come, and lines between them."""

    def step(self, report: StepReport) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class TerminalProgress:
    """A bar that is drawn over, and the last step's numbers below it."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[left]}"),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, left="")
        self._numbers = Text()
        self._live = Live(console=console, get_renderable=lambda: Group(self._bar, self._numbers))
        self._live.start()

    def step(self, report: StepReport) -> None:
        """Show the step from the next redrawing on."""
        self._numbers = Text(describe(report))
        self._bar.update(self._task, completed=report.step, total=report.steps, left=_left(report))

    def line(self, text: str) -> None:
        """Print above the bar."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state where it is."""
        self._live.stop()


class LineProgress:
    """A line every ten seconds, and for the first and the last step, where nothing is redrawn."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._shown = float("-inf")

    def step(self, report: StepReport) -> None:
        """Print the step, if it is time."""
        now = self._clock()
        if now - self._shown >= _LINE_EVERY or report.step == report.steps:
            self._shown = now
            at = f"step {report.step}/{report.steps}"
            self.line(" · ".join(part for part in (at, describe(report), _left(report)) if part))

    def line(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Nothing is open."""


def describe(report: StepReport) -> str:
    """Losses, learning rate, speed and memory of a step in one line."""
    parts = [f"{short} {report.losses[k]:.4g}" for k, short in _SHORT.items() if k in report.losses]
    parts += [f"lr {report.learning_rate:.2e}", f"grad {report.gradient_norm:.3g}"]
    parts.append(f"{report.images_per_second:.3g} images/s")
    if report.memory_bytes is not None:
        parts.append(human_bytes(report.memory_bytes))
    if report.skipped_steps:
        parts.append(f"{report.skipped_steps} skipped")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time as people read it: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _left(report: StepReport) -> str:
    return f"{duration(report.seconds_left)} left" if report.seconds_left > 0 else ""
