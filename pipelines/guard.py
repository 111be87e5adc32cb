"""A worker that survives its clips: they are made in a process of its own, watched from here.

A clip that hangs is stopped at its time limit; one that ends its process, by a crash or because
memory is exhausted, is tried again, alone, and given up after a few deaths. Both are quarantined
with their reason, and the clips around them are made. What was kept aside before is not made again.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from pipelines.child import COMMAND
from pipelines.commit import Attempt, RealHands, TaskWorker, WholeShard
from pipelines.compute import Compute
from pipelines.plan import Task
from pipelines.tracebacks import first_dump, of_dump
from pipelines.worker import Outcome, survey_name
from preprocess.errors import InputError
from shards.machine import usable_memory
from shards.manifest import Manifest, Quarantined
from shards.sample.keys import make_key

__all__ = ["MAX_DEATHS", "GuardedHands", "Guards"]

MAX_DEATHS = 3
_GRACE = 5.0  # seconds for a process to write where it is, or to end
_DUMP = 1 << 20  # bytes
_SHARE = 0.9  # of the machine's memory that one worker may take, unless it is said


@dataclass(frozen=True)
class Guards:
    """What a clip may take: `seconds` from its start to the next, and `memory` bytes of its
    process (None: most of the machine's)."""

    seconds: float
    memory: int | None = None

    @classmethod
    def of(cls, compute: Compute) -> "Guards":
        """Those that a build's options ask for."""
        memory = compute.worker_memory
        return cls(compute.clip_timeout, None if memory is None else int(memory * 1e9))


@dataclass(frozen=True)
class GuardedHands:
    """Hands whose workers survive their clips."""

    hands: RealHands
    guards: Guards

    def worker(self) -> TaskWorker:
        return _Guarded(self.hands, self.guards)

    def commit(self, shard: WholeShard) -> Manifest | None:
        return self.hands.commit(shard)


class _Died(Exception):
    """The process ended, or was ended, while it made a clip."""

    def __init__(self, at: str | None, kind: str, why: str, traceback: str) -> None:
        super().__init__(why)
        self.at, self.kind, self.why, self.traceback = at, kind, why, traceback


@dataclass(frozen=True)
class _GivenUp:
    """Why a clip, or the survey of a shot, is not tried again."""

    kind: str
    why: str
    traceback: str

    def quarantined(self, key: str, video: str, what: str = "") -> Quarantined:
        return Quarantined(key, video, what + self.why, self.kind, self.traceback)


class _Guarded:
    """A `TaskWorker` that has its clips made by a `_Process`, and another when that has died."""

    def __init__(self, hands: RealHands, guards: Guards) -> None:
        self._hands, self._guards = hands, guards
        self._deaths: Counter[str] = Counter()
        self._given_up: dict[str, _GivenUp] = {}
        self._cpu_seconds = 0.0
        self._process = _Process.loaded(hands, guards)

    def run(self, task: Task, attempt: Attempt) -> Outcome:
        told = 0

        def first(quarantined: Quarantined | None) -> None:
            nonlocal told
            told += 1
            attempt.made(quarantined)

        if not self._dead(task):
            try:
                return self._process.run(task, replace(attempt, made=first))
            except _Died as death:
                self._died(task, death)
        # One after the other from here on, so that it is known which clip it is.
        ended = 0

        def rest(quarantined: Quarantined | None) -> None:
            nonlocal ended
            ended += 1
            if ended > told:  # the others were told before the process died
                attempt.made(quarantined)

        each = replace(attempt, again=True, made=rest)
        outcomes = [self._run_one(one, each) for one in _one_by_one(task)]
        return Outcome(
            tuple(place for outcome in outcomes for place in outcome.made),
            {place: q for outcome in outcomes for place, q in outcome.quarantined.items()},
            sum(outcome.survey_seconds for outcome in outcomes),
            sum(outcome.clips_seconds for outcome in outcomes),
        )

    def flush(self) -> None:
        """Each task's clips are flushed in their process, before its outcome is known."""

    def __del__(self) -> None:
        if (process := getattr(self, "_process", None)) is not None:
            process.release()

    def cpu_seconds(self) -> float:
        """What its processes have used."""
        return self._cpu_seconds + self._process.cpu_seconds

    def _run_one(self, task: Task, attempt: Attempt) -> Outcome:
        """A task of one clip, until it is made or given up."""
        (place,) = task.places
        told = False

        def once(quarantined: Quarantined | None) -> None:
            nonlocal told
            if not told:  # a process may die of what comes after
                attempt.made(quarantined)
            told = True

        while not (dead := self._dead(task)):
            try:
                return self._process.run(task, replace(attempt, made=once))
            except _Died as death:
                self._died(task, death)
        (quarantined,) = dead.values()
        once(quarantined)
        return Outcome((), {place: quarantined})

    def _dead(self, task: Task) -> dict[int, Quarantined]:
        """Clips of a task that are given up, by place."""
        survey = self._given_up.get(survey_name(task))
        found = {}
        for frame, place in zip(task.first_frames, task.places, strict=True):
            key = self._key(task, frame)
            if survey is not None:
                found[place] = survey.quarantined(key, task.video.id, "the survey of its shot ")
            elif key in self._given_up:
                found[place] = self._given_up[key].quarantined(key, task.video.id)
        return found

    def _died(self, task: Task, death: _Died) -> None:
        at = death.at or self._key(task, task.first_frames[0])
        self._deaths[at] += 1
        if death.kind == "timeout":
            self._given_up[at] = _GivenUp("timeout", death.why, death.traceback)
        elif self._deaths[at] >= MAX_DEATHS:
            why = f"killed its worker {MAX_DEATHS} times ({death.why})"
            self._given_up[at] = _GivenUp(death.kind, why, death.traceback)
        self._cpu_seconds += self._process.cpu_seconds
        self._process = _Process.loaded(self._hands, self._guards)

    def _key(self, task: Task, first_frame: int) -> str:
        return make_key(self._hands.setup.recipe.dataset, task.video.id, first_frame)


def _one_by_one(task: Task) -> list[Task]:
    return [
        replace(task, first_frames=(frame,), places=(place,))
        for frame, place in zip(task.first_frames, task.places, strict=True)
    ]


class _Process:
    """A process of `pipelines.child`, which one after the other may serve several builds."""

    _idle: "_Process | None" = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        lifeline, end = os.pipe()
        self._lifeline: int | None = end
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 as long as the process
        numbers = (theirs.fileno(), lifeline, self._dump.fileno())
        self._made_for = (dict(os.environ), os.getcwd())
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what libraries print is not the command's result
                pass_fds=numbers,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,  # Ctrl-C is for the one that waits
            )
        finally:
            theirs.close()
            os.close(lifeline)
        self._connection = Connection(ours.detach())
        self._guards = Guards(0.0)
        self.cpu_seconds = 0.0

    @classmethod
    def loaded(cls, hands: RealHands, guards: Guards) -> "_Process":
        """One that has loaded the annotators.

        Raises InputError where something is missing, or where it dies of it time and again.
        """
        deaths = 0
        while True:
            process = cls._idle_or_new()
            process._guards = guards
            try:
                process._load(hands)
                return process
            except _Died as death:
                deaths += 1
                if deaths == MAX_DEATHS:
                    raise InputError(
                        f"the process that makes clips died {deaths} times while it loaded the "
                        f"annotators ({death.why}): is there memory enough?"
                    ) from death
            except BaseException:
                process.kill()
                raise

    @classmethod
    def _idle_or_new(cls) -> "_Process":
        idle, cls._idle = cls._idle, None
        if idle is not None and idle._fits():
            return idle
        if idle is not None:
            idle.kill()
        return cls()

    def _load(self, hands: RealHands) -> None:
        threads = None
        if "cv2" in sys.modules:
            import cv2

            threads = cv2.getNumThreads()
        memory = self._guards.memory
        if memory is None and hands.setup.hardware.device == "cpu":
            memory = int(_SHARE * usable_memory())
        self._ask(("load", hands, memory, threads))

    def run(self, task: Task, attempt: Attempt) -> Outcome:
        """Raises _Died, and whatever the worker raises."""
        message = ("run", task, attempt.again, dict(attempt.given_up))
        outcome: Outcome = self._ask(message, attempt.starting, attempt.made)
        return outcome

    def release(self) -> None:
        """Keep it for the next build, unless another is kept."""
        if _Process._idle is None and self._lifeline is not None:
            _Process._idle = self
        else:
            self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._lifeline is None:
            return
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._dump.close()
        os.close(self._lifeline)
        self._lifeline = None

    def _fits(self) -> bool:
        """Whether it lives, in the same environment."""
        return (
            self._lifeline is not None
            and self._process.poll() is None
            and self._made_for == (dict(os.environ), os.getcwd())
        )

    def _ask(
        self,
        message: tuple[Any, ...],
        starting: Callable[[str], None] = lambda key: None,
        made: Callable[[Quarantined | None], None] = lambda quarantined: None,
    ) -> Any:
        """What it answers. Clips alone have a time limit: loading and writing take theirs."""
        at: str | None = None
        seconds = self._guards.seconds if message[0] == "run" else None
        began = time.monotonic()
        answered = False
        try:
            self._connection.send(message)
            while True:
                left = None if seconds is None else max(0.0, began + seconds - time.monotonic())
                if not self._connection.poll(left):
                    raise self._timed_out(at)
                said, *what = self._connection.recv()
                if said == "starting":
                    at, began = what[0], time.monotonic()
                    starting(what[0])
                elif said == "made":
                    made(what[0])
                else:
                    answer, self.cpu_seconds = what
                    answered = True
                    if said == "raised":
                        raise answer
                    return answer
        except (EOFError, ConnectionError) as error:
            if answered:
                raise
            raise self._has_died(at) from error
        finally:
            if not answered:  # whatever it does, nobody will hear of it
                self.kill()

    def _timed_out(self, at: str | None) -> _Died:
        why = f"took longer than {self._guards.seconds:g} s (--clip-timeout)"
        return _Died(at, "timeout", why, of_dump(self._where_it_is(), crashed=False))

    def _where_it_is(self) -> str:
        """What it writes when it is asked where it is, and again; as much as comes in time."""
        deadline = time.monotonic() + _GRACE
        self._process.send_signal(signal.SIGUSR1)
        while (whole := first_dump(dump := self._dumped())) is None:
            if time.monotonic() > deadline:
                return dump
            if dump:  # who is asked in another thread while one writes says nothing
                self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.02)
        return whole

    def _has_died(self, at: str | None) -> _Died:
        try:
            code = self._process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            code = None
        return _Died(at, "killed", _how(code), of_dump(self._dumped(), crashed=True))

    def _dumped(self) -> str:
        # The process writes at the position that a read here would move.
        return os.pread(self._dump.fileno(), _DUMP, 0).decode(errors="replace")


def _how(code: int | None) -> str:
    """In words, how a process ended."""
    if code is None:
        return "it closed its connection"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory is exhausted" if code == -signal.SIGKILL else name
