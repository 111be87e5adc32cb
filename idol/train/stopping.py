"""What stops a run: errors with one clear message, and the signals of a user or a scheduler."""

import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from idol.errors import IdolError

__all__ = ["DivergedError", "Interrupt", "InterruptedRun", "TrainError"]


class TrainError(IdolError):
    """A run cannot start, or cannot resume."""


class DivergedError(TrainError):
    """Too many steps in a row, up to `step`, had a loss or gradient that was not finite."""

    def __init__(self, in_row: int, step: int, keys: Sequence[str]) -> None:
        super().__init__(
            f"{in_row} steps in a row had a loss or gradient that is not finite, up to step "
            f"{step}, whose clips are {', '.join(keys)}: look at these with `idol-shards show`. "
            "The newest checkpoint has the weights before them. A higher --max-skipped lets this "
            "run continue; to continue otherwise, with a lower --learning-rate or with "
            "--mixed-precision bf16 in place of fp16, give this --output as --init-from, and "
            "another --output"
        )


# Schedulers and launchers both signal a process: what comes so soon after is the same request.
_SAME_REQUEST_SECONDS = 2.0


class InterruptedRun(Exception):
    """The run was asked to stop, and left a checkpoint at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}, whose checkpoint is saved")
        self.step = step


class Interrupt:
    """Notes SIGINT and SIGTERM in here; one that comes seconds later acts as it did before."""

    def __init__(self) -> None:
        self._requested_at: float | None = None
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether the process was asked to stop."""
        return self._requested_at is not None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._requested_at is None:
            self._requested_at = now
        elif now - self._requested_at > _SAME_REQUEST_SECONDS:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        # Another signal may come at any line, and do this twice.
        for number, handler in self._before.items():
            signal.signal(number, handler)
