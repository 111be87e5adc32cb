"""Where a run's numbers and pictures go: the terminal, files, TensorBoard, Weights & Biases.

A run that is resumed goes on in the same folder and says no step twice.
"""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import cv2
import numpy as np
from rich.console import Console

from idol.train.errors import TrainError
from idol.train.journal import Journal, read_journal
from idol.train.progress import LineProgress, ProgressDisplay, TerminalProgress
from idol.train.values import StepReport
from shards.inspect.console import QuietConsole

__all__ = ["LOSSES", "VALIDATION", "Log", "StepReport", "import_wandb"]

LOSSES = "losses.jsonl"
VALIDATION = "validation.jsonl"
_PICTURES = "pictures"

# What a killed run may lack in TensorBoard, at most.
_FLUSH_SECONDS = 5


class Log:
    """Everything one run says of itself, in its folder. For one process of a run; use `with`.

    `losses.jsonl` has a row a step: losses, learning rate, gradient norm, skipped steps, each
    float to the last bit and nothing that depends on the machine's speed, so that the files of
    two equal runs are equal. `validation.jsonl` has what `validate` returned. Pictures are PNGs
    in `pictures/`, TensorBoard's events in `tensorboard/`.

    Args:
        folder: made if it is not there.
        start_step: steps done when the run goes on; what the folder has of later ones is dropped.
        tensorboard: write events.
        wandb: log to Weights & Biases as well, as one run however often it is resumed.
        progress: show a bar, or where nothing can be redrawn a line every ten seconds.
        console: to show it on; standard output unless given.

    Raises:
        TrainError: `wandb` is asked for and not installed.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
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
        self._losses = Journal(self.folder / LOSSES, start_step=start_step)
        self._validation = Journal(self.folder / VALIDATION, start_step=start_step)
        self._events = _event_writer(self.folder, start_step) if tensorboard else None
        self._wandb = _start_wandb(wandb_module, self.folder) if wandb_module else None
        self._display = _display(console or QuietConsole()) if progress else None

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
        return any(row["step"] == step for row in read_journal(self._validation.path))

    def has_pictures(self, step: int) -> bool:
        """Whether there are pictures of a step."""
        return any(self.folder.glob(f"{_PICTURES}/{_picture_name('*', step)}"))

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Record what `validate` returned after a step."""
        self._validation.append(step, values)
        self._scalars(step, {f"validation/{name}": value for name, value in values.items()})
        shown = " · ".join(f"{k} {v:.4f}" for k, v in values.items() if "/" not in k)
        self._line(f"validation after step {step}: {shown}")

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Record sheets, (H, W, 3) uint8 RGB, by their names; a file is `NAME-STEP.png`."""
        folder = self.folder / _PICTURES
        folder.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            path = folder / _picture_name(name, step)
            _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(png.tobytes())
            unfinished.replace(path)
            if self._events is not None:
                self._events.add_image(name, picture, step, dataformats="HWC")
            self._line(f"picture after step {step}: {path}")
        if self._wandb is not None:
            module = importlib.import_module("wandb")
            images = {f"pictures/{name}": module.Image(p) for name, p in pictures.items()}
            self._wandb.log(images, step=step)

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


def _picture_name(name: str, step: int) -> str:
    return f"{name.replace('/', '_')}-{step:06d}.png"


def _display(console: Console) -> ProgressDisplay:
    return TerminalProgress(console) if console.is_terminal else LineProgress(console)


def _event_writer(folder: Path, start_step: int) -> Any:
    # Here and not above: TensorBoard takes a second to import.
    from torch.utils.tensorboard import SummaryWriter

    # TensorBoard then passes over what an earlier process wrote of the steps that come again.
    purge_step = start_step + 1 if start_step else 0
    return SummaryWriter(
        str(folder / "tensorboard"), purge_step=purge_step, flush_secs=_FLUSH_SECONDS
    )


def import_wandb() -> ModuleType:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise TrainError(
            "logging to Weights & Biases was asked for and the package wandb is not installed: "
            "install it with `pip install wandb`, or leave --wandb out; TensorBoard's events are "
            "written in any case"
        ) from error


def _start_wandb(module: ModuleType, folder: Path) -> Any:
    identity = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return module.init(
        project="idol", name=folder.name, id=identity, dir=str(folder), resume="allow"
    )
