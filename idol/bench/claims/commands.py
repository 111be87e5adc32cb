"""Runs the public commands of claims side by side, each on one thread; resumable, and stoppable."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from idol.bench.claims.errors import ClaimsError

__all__ = ["Commands", "Step", "check"]

_log = logging.getLogger(__name__)


class Step(NamedTuple):
    """A command, what is there once it has ended well, and what asks whether that is as wanted.

    Its log is its own: of one that several share an error would quote what another said last.
    """

    module: str
    arguments: Sequence[str]
    made: Path
    log: Path
    check: Callable[[], None]


def check(steps: Iterable[Step]) -> None:
    """Ask of all that is there whether it was made as it would be now. Raises as `Step.check`."""
    for step in steps:
        if step.made.exists():
            step.check()


class Commands:
    """A pool of so many at once: a context.

    A command that fails is told at once, and the others are run all the same; its error is raised
    at the end. What stops the whole (Ctrl-C, SIGTERM) stops the commands too, and begins no more.
    """

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs)
        self._lock = threading.Lock()
        self._checking = threading.Lock()  # command lines cannot be parsed by two threads at once
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and not isinstance(error, ClaimsError):
                self._stop()
            self._pool.shutdown()
        except BaseException:
            self._stop()
            self._pool.shutdown()
            raise

    def begin(self, steps: Sequence[Step], after: Future[None] | None = None) -> Future[None]:
        """Run what is left of some steps, one after the other, after those that `after` are.

        The future raises ClaimsError where one failed or was made otherwise.
        """
        return self._pool.submit(self._run, steps, after)

    def all(self, rows: Iterable[Sequence[Step]]) -> None:
        """Run what is left of all rows, and wait. Raises ClaimsError."""
        for done in [self.begin(steps) for steps in rows]:
            done.result()

    def _run(self, steps: Sequence[Step], after: Future[None] | None) -> None:
        if after is not None:
            after.result()
        for step in steps:
            if step.made.exists():
                with self._checking:
                    step.check()
            else:
                self._command(step)

    def _command(self, step: Step) -> None:
        step.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with step.log.open("ab") as told:
            told.write(f"$ {step.module} {' '.join(step.arguments)}\n".encode())
            told.flush()
            with self._lock:
                if self._stopped:
                    return
                process = subprocess.Popen(
                    [sys.executable, "-m", step.module, *step.arguments],
                    stdout=told,
                    stderr=told,
                    env=environment,
                )
                self._running.add(process)
            code = process.wait()
            with self._lock:
                self._running.discard(process)
        if code and not self._stopped:
            error = ClaimsError(
                f"{step.module} ended with {code}: {_last_line(step.log)}\n{step.log} has all that "
                "it said; run the same command to resume"
            )
            _log.warning("%s", error)
            raise error

    def _stop(self) -> None:
        """End what runs, in order: training leaves a checkpoint; and begin no more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
