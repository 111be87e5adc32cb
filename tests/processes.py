"""Processes that tests start, and what they wait for."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

__all__ = ["Start", "free_port", "start", "until_there"]

_LONG = 240  # seconds; less than a test may take

Start = Callable[..., subprocess.Popen[Any]]


@pytest.fixture
def start() -> Iterator[Start]:
    """`subprocess.Popen` whose processes end with the test, so that one that fails leaves none."""
    begun: list[subprocess.Popen[Any]] = []

    def started(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        begun.append(subprocess.Popen(*arguments, **options))
        return begun[-1]

    yield started
    for process in begun:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def until_there(there: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> None:
    """Waits until something is there, or a process has ended without it: whoever asks sees which.

    Raises:
        AssertionError: Neither, in a time that is long on a busy machine.
    """
    end = time.monotonic() + _LONG
    while not there() and (process is None or process.poll() is None):
        assert time.monotonic() < end, f"nothing in {_LONG} s"
        time.sleep(0.01)


def free_port() -> int:
    """One below those that the system gives to whoever asks for any."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("localhost", port))
            return port
    raise OSError("no free port")
