"""What a run writes and shows: losses, validation and images in its folder, progress in a terminal.

A run that is resumed continues the same files, with each step in them once.
"""

import importlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from idol.train.stopping import TrainError
from shards.files.atomic import write_atomically
from shards.files.digest import sha256
from shards.inspect.console import QuietConsole, human_bytes, human_duration

__all__ = [
    "LOSSES",
    "VALIDATION",
    "JsonLines",
    "LineDisplay",
    "Log",
    "StepReport",
    "import_wandb",
    "read_json_lines",
]

LOSSES = "losses.jsonl"
VALIDATION = "validation.jsonl"
_IMAGES = "images"

# What a killed run may lack in TensorBoard, at most.
_FLUSH_SECONDS = 5
# Between lines, where no bar can be redrawn.
_LINE_SECONDS = 10.0

# Losses in a line of progress.
_SHORT = {
    "total": "loss",
    "denoise_video": "video",
    "denoise_depth": "depth",
    "motion": "motion",
    "cross_attention": "xattn",
}


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step, as logs and displays see it.

    Attributes:
        step: of this stage, counted from 1: the number of steps done with this one.
        steps: of the stage in all.
        losses: `total`, `denoise_video`, `denoise_depth`, `motion`, `cross_attention`, and where
            they were measured `gradient_motion`, `gradient_cross_attention`: norms of the
            consistency losses' gradients at the features they compare.
        learning_rate: of this step.
        gradient_norm: of all parameters, before clipping.
        images_per_second: frames of one modality, over all processes.
        memory_bytes: the most that was held on this process's accelerator, or None.
        seconds_left: of the stage, as estimated; 0 while it cannot be.
        skipped_steps: steps so far whose loss or gradient was not finite.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    memory_bytes: int | None
    seconds_left: float
    skipped_steps: int


class Log:
    """Writes a run's metrics and images into its folder. For one process of a run; use `with`.

    `losses.jsonl` has a row a step: losses, learning rate, gradient norm, skipped steps, each
    float to the last bit and nothing that depends on the machine's speed, so that the files of
    two equal runs are equal. `validation.jsonl` has what `validate` returned. Images are PNGs
    in `images/`, TensorBoard's events in `tensorboard/`.

    Args:
        folder: made if it is not there.
        start_step: steps done when the run resumes; what the folder has of later ones is dropped.
        tensorboard: write events.
        wandb: log to Weights & Biases as well, as one run however often it is resumed.
        progress: show a bar, or where nothing can be redrawn a line every ten seconds.
        console: to show it on; standard output unless given.

    Raises:
        TrainError: `wandb` is asked for and not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        start_step: int = 0,
        tensorboard: bool = True,
        wandb: bool = False,
        progress: bool = True,
        console: Console | None = None,
    ) -> None:
        self.folder = Path(folder)
        wandb_module = import_wandb() if wandb else None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._losses = JsonLines(self.folder / LOSSES, start_step=start_step)
        self._validation = JsonLines(self.folder / VALIDATION, start_step=start_step)
        self._events = _event_writer(self.folder, start_step) if tensorboard else None
        self._wandb = _start_wandb(wandb_module, self.folder) if wandb_module else None
        self._display = _display_on(console or QuietConsole()) if progress else None

    def step(self, report: StepReport) -> None:
        """Record one step."""
        row = {
            **report.losses,
            "learning_rate": report.learning_rate,
            "gradient_norm": report.gradient_norm,
            "skipped_steps": report.skipped_steps,
        }
        self._losses.append(report.step, row)
        speed: dict[str, float] = {"images_per_second": report.images_per_second}
        if report.memory_bytes is not None:
            speed["memory_bytes"] = report.memory_bytes
        losses = {f"loss/{name}": value for name, value in report.losses.items()}
        rest = {name: value for name, value in row.items() if name not in report.losses}
        others = {f"run/{name}": value for name, value in (rest | speed).items()}
        self._scalars(report.step, losses | others)
        if self._display is not None:
            self._display.step(report)

    def has_validation(self, step: int) -> bool:
        """Whether a step was validated."""
        return any(row["step"] == step for row in read_json_lines(self._validation.path))

    def has_images(self, step: int) -> bool:
        """Whether there are images of a step."""
        return any(self.folder.glob(f"{_IMAGES}/{_image_name('*', step)}"))

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Record what `validate` returned after a step."""
        self._validation.append(step, values)
        self._scalars(step, {f"validation/{name}": value for name, value in values.items()})
        shown = " · ".join(f"{k} {v:.4f}" for k, v in values.items() if "/" not in k)
        self._line(f"validation after step {step}: {shown}")

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Record sheets, (H, W, 3) uint8 RGB, by their names; a file is `NAME-STEP.png`."""
        folder = self.folder / _IMAGES
        folder.mkdir(exist_ok=True)
        for name, image in images.items():
            path = folder / _image_name(name, step)
            _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            write_atomically(path, png.tobytes())
            if self._events is not None:
                self._events.add_image(name, image, step, dataformats="HWC")
            self._line(f"image after step {step}: {path}")
        if self._wandb is not None:
            module = importlib.import_module("wandb")
            shown = {f"images/{name}": module.Image(image) for name, image in images.items()}
            self._wandb.log(shown, step=step)

    def flush(self) -> None:
        """Write all to disk; before a checkpoint, so that no step that it counts is lost."""
        self._losses.flush_to_disk()
        self._validation.flush_to_disk()
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """End the display and close all files."""
        if self._display is not None:
            self._display.close()
        self._losses.close()
        self._validation.close()
        if self._events is not None:
            self._events.close()
        if self._wandb is not None:
            self._wandb.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                if math.isfinite(value):
                    self._events.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def _line(self, text: str) -> None:
        if self._display is not None:
            self._display.line(text)


def _image_name(name: str, step: int) -> str:
    return f"{name.replace('/', '_')}-{step:06d}.png"


def _event_writer(folder: Path, start_step: int) -> Any:
    # Here and not above: TensorBoard takes a second to import.
    from torch.utils.tensorboard import SummaryWriter

    # TensorBoard then passes over what an earlier process wrote of the steps that come again.
    purge_step = start_step + 1 if start_step else 0
    return SummaryWriter(
        str(folder / "tensorboard"), purge_step=purge_step, flush_secs=_FLUSH_SECONDS
    )


def import_wandb() -> ModuleType:
    """The package wandb. Raises TrainError if it is not installed."""
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise TrainError(
            "logging to Weights & Biases was asked for and the package wandb is not installed: "
            "install it with `pip install wandb`, or leave --wandb out; TensorBoard's events are "
            "written in any case"
        ) from error


def _start_wandb(module: ModuleType, folder: Path) -> Any:
    identity = sha256(str(folder.resolve()).encode())[:16]
    return module.init(
        project="idol", name=folder.name, id=identity, dir=str(folder), resume="allow"
    )


class JsonLines:
    """A file of a JSON object a line, that a killed run continues: no line lost, none twice.

    Rows are with the operating system at once. Floats read back to the last bit; what is not
    finite is null, for which JSON has no word.

    Args:
        path: of the file; its folder exists.
        start_step: rows of later steps, which are to come again, are dropped, and with them a
            line that a kill has torn.
    """

    def __init__(self, path: Path, *, start_step: int = 0) -> None:
        self.path = path
        _keep(path, start_step)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the row of a step; `step` is its first value."""
        self._file.write(_line({"step": step, **values}))

    def flush_to_disk(self) -> None:
        """Make sure that what was written outlives the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write to disk and close."""
        self.flush_to_disk()
        self._file.close()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole row, in the order of writing; none if the file is not there."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # torn by a kill, mostly the last one
            continue
    return rows


def _keep(path: Path, last_step: int) -> None:
    """Rewrite the file with the rows up to a step, or leave it whole if it is interrupted."""
    if not path.exists():
        return
    rows = [row for row in read_json_lines(path) if 0 < row["step"] <= last_step]
    write_atomically(path, "".join(map(_line, rows)).encode())


def _line(row: Mapping[str, Any]) -> str:
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
    return json.dumps(finite) + "\n"


class _Display(Protocol):
    """Shows steps as they come, and lines between them."""

    def step(self, report: StepReport) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class _TerminalDisplay:
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
        self._numbers = Text(_describe(report))
        self._bar.update(self._task, completed=report.step, total=report.steps, left=_left(report))

    def line(self, text: str) -> None:
        """Print above the bar."""
        self._live.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state where it is."""
        self._live.stop()


class LineDisplay:
    """A line every ten seconds, and for the first and the last step, where nothing is redrawn."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._shown = float("-inf")

    def step(self, report: StepReport) -> None:
        """Print the step, if it is time."""
        now = self._clock()
        if now - self._shown >= _LINE_SECONDS or report.step == report.steps:
            self._shown = now
            at = f"step {report.step}/{report.steps}"
            self.line(" · ".join(part for part in (at, _describe(report), _left(report)) if part))

    def line(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Nothing is open."""


def _describe(report: StepReport) -> str:
    """Losses, learning rate, speed and memory of a step in one line."""
    parts = [f"{short} {report.losses[k]:.4g}" for k, short in _SHORT.items() if k in report.losses]
    parts += [f"lr {report.learning_rate:.2e}", f"grad {report.gradient_norm:.3g}"]
    parts.append(f"{report.images_per_second:.3g} images/s")
    if report.memory_bytes is not None:
        parts.append(human_bytes(report.memory_bytes))
    if report.skipped_steps:
        parts.append(f"{report.skipped_steps} skipped")
    return " · ".join(parts)


def _display_on(console: Console) -> _Display:
    return _TerminalDisplay(console) if console.is_terminal else LineDisplay(console)


def _left(report: StepReport) -> str:
    return f"{human_duration(report.seconds_left)} left" if report.seconds_left > 0 else ""
