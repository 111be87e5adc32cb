"""Ray itself: started on this machine or joined at an address, quietly, and left in order."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from preprocess.errors import InputError

__all__ = ["cause", "on_ray"]

# Rows of tasks and outcomes are small, and no clip passes through.
OBJECT_STORE_BYTES = 1 << 30


@contextmanager
def on_ray(workers: int, address: str | None) -> Iterator[Any]:
    """The module `ray`, connected; started and stopped here unless it is running already.

    Raises InputError when Ray cannot be reached or started, and for whatever fails on it.
    """
    # Ray's own processes write warnings about its internals over the progress bar.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    started = not ray.is_initialized()
    if started:
        _start(ray, workers, address)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise InputError(f"a Ray worker failed: {cause(error)}") from error
    finally:
        if started:
            # While it shuts down Ray logs messages about infinite retries.
            with _no_stderr():
                ray.shutdown()


def cause(error: BaseException) -> str:
    """The last line of the first error, which Ray wraps in others."""
    inner: BaseException = error
    while (deeper := getattr(inner, "cause", None) or inner.__cause__) is not None:
        inner = deeper
    return str(inner).strip().splitlines()[-1] if str(inner).strip() else repr(inner)


def _start(ray: Any, workers: int, address: str | None) -> None:
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        _check_reachable(address)
        options["address"] = address
    else:
        # Not the cluster that a left-over RAY_ADDRESS names.
        options |= {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        with _no_stderr():
            ray.init(**options)
        # Ray would rather exit on the spot; we end in order, as on Ctrl-C.
        signal.signal(signal.SIGTERM, on_terminate)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        where = f"at {address}" if address else "on this machine"
        raise InputError(
            f"Ray could not be started {where}: {error}. `--workers 0` needs no Ray."
        ) from error


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes to reach a head node that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # "auto" and "local", which Ray answers at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({error}). Start one with `ray start --head`, "
            "or leave --address out to work on this machine."
        ) from error


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Ray's compiled core announces its log level past Python's sys.stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
