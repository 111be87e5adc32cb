"""Who builds into a folder and how far that is: `.building.json` beside the output's lock.

It is written every few seconds while a build runs, says how the build ended where that was not at
its end, and is removed with the last shard's commit. Whoever reads it needs no lock.
"""

import getpass
import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipelines.counts import Counts
from pipelines.plan import Plan
from pipelines.reporter import Standing
from shards.errors import ShardsError
from shards.files.digest import canonical_json
from shards.files.locks import BUILDING, process_start
from shards.files.storage import Store

__all__ = ["told"]

_EVERY = 2.0  # seconds between two writings into a local folder
_REMOTE_EVERY = 15.0  # and into an object store, whose requests cost

_log = logging.getLogger(__name__)


@contextmanager
def told(store: Store) -> Iterator[Counts]:
    """Counts of a build that `.building.json` tells while the block runs, once there is a plan.

    A folder that cannot be written to makes no error here: the build itself finds it.
    """
    file = _File(store)
    counts = _Told(file)
    try:
        yield counts
    except KeyboardInterrupt:
        file.end("stopped", "stopped by a signal")
        raise
    except BaseException as error:
        file.end("failed", str(error).strip() or type(error).__name__)
        raise
    file.end(None)


class _Told(Counts):
    """Counts that a file tells from the plan on: the folder is the build's own by then."""

    def __init__(self, file: "_File") -> None:
        super().__init__()
        self._file = file

    def planned(self, plan: Plan, standing: Standing) -> None:
        super().planned(plan, standing)
        self._file.start(self)


class _File:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: Counts | None = None
        self._every = _EVERY if store.is_local else _REMOTE_EVERY
        self._who = {
            "host": socket.gethostname(),
            "user": _user(),
            "pid": os.getpid(),
            "process_start": process_start(os.getpid()),
            "python": platform.python_version(),
            "began": _clock(),
            "every": self._every,
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="progress file")
        self._complained = False

    def start(self, counts: Counts) -> None:
        self._counts = counts
        self._write("building", None)
        self._thread.start()

    def end(self, state: str | None, why: str | None = None) -> None:
        """Say how it ended; or leave nothing, for None."""
        if self._counts is None:
            return
        self._stopped.set()
        self._thread.join()
        if state is not None:
            self._write(state, why)
            return
        with suppress(ShardsError):  # the dataset is complete, which is what `status` reads first
            self._store.remove(BUILDING)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            self._write("building", None)

    def _write(self, state: str, why: str | None) -> None:
        assert self._counts is not None
        said: dict[str, Any] = {**self._who, "state": state, "why": why, "seen": _clock()}
        data = canonical_json({**said, "counts": self._counts.now()}, indent=1)
        try:
            self._store.write_bytes(BUILDING, data, flushed=False)
        except ShardsError as error:
            if not self._complained:
                _log.info("`idol-prep status` will not tell how far this build is: %s", error)
            self._complained = True


def _clock() -> float:
    return round(time.time(), 1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return str(os.getuid())
