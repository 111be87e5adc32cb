"""What a run shows of itself: losses, speed, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Self

import numpy as np


@dataclass(frozen=True)
class StepReport:
    """One step."""

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    memory_bytes: int | None
    seconds_left: float
    skipped_steps: int


class Log:
    """Where reports go."""

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        tensorboard: bool = True,
        wandb: bool = False,
        progress: bool = True,
    ) -> None:
        pass

    def step(self, report: StepReport) -> None:
        pass

    def validation(self, step: int, values: dict[str, float]) -> None:
        pass

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
