"""Ctrl-C and SIGTERM, as schedulers send it: finish the step, save, leave."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupt", "InterruptedRun"]


class InterruptedRun(Exception):
    """The run was asked to stop, and left a checkpoint at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}, whose checkpoint is saved")
        self.step = step


class Interrupt:
    """Notes SIGINT and SIGTERM in here; a second one acts as it did before."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

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
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
