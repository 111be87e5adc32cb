"""Ray itself: started on this machine or joined at an address, quietly, and left in order."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from preprocess.errors import InputError
from shards.files.native_stderr import silent_stderr

__all__ = ["ENVIRONMENT", "cause", "on_ray"]

ENVIRONMENT = {
    # Ray's own processes write warnings about its internals over the progress bar.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # Its workers give way to whatever else runs (15), so that a build by them hardly goes on where
    # one in this process has its share of the cores. They are as nice as the build is.
    "RAY_worker_niceness": "0",
}
"""Of a Ray that is started here, unless the user has said otherwise."""

# Rows of tasks and outcomes are small, and no clip passes through.
OBJECT_STORE_BYTES = 1 << 30
_EVERY = 1.0  # seconds between two looks whether Ray's own processes are there
_AGAIN = 20.0


@contextmanager
def on_ray(workers: int, address: str | None) -> Iterator[Any]:
    """The module `ray`, connected; started and stopped here unless it is running already.

    Raises InputError when Ray cannot be reached or started, for whatever fails on it, and where
    Ray's own processes on this machine end: in the main thread, in whatever that does then.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    started = not ray.is_initialized()
    if started:
        _start(ray, workers, address)
    try:
        with _watched(_who_has_ended(ray, address)):
            yield ray
    except ray.exceptions.RayError as error:
        raise InputError(f"a Ray worker failed: {cause(error)}") from error
    finally:
        if started:
            # While it shuts down Ray logs messages about infinite retries.
            with silent_stderr():
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
        with silent_stderr():  # Ray's compiled core announces its log level
            ray.init(**options)
        # Ray would rather exit on the spot; we end in order, as on Ctrl-C.
        signal.signal(signal.SIGTERM, on_terminate)
    except Exception as error:  # which Ray raises itself where its start takes too long
        where = f"at {address}" if address else "on this machine"
        raise InputError(
            f"Ray could not be started {where}: {error}. `--workers 0` needs no Ray."
        ) from error


def _who_has_ended(ray: Any, address: str | None) -> Callable[[], str | None]:
    """What names that process of Ray's on this machine without which nothing goes on, once it has
    ended."""
    node = ray._private.worker._global_node
    if node is None:  # a client's, of another machine's driver
        return lambda: None
    if address is None and node.is_head():
        needed = ("raylet", "gcs_server")
        return lambda: next((name for name, _ in node.dead_processes() if name in needed), None)

    def raylet() -> str | None:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(node.raylet_socket_name)
            except (ConnectionRefusedError, FileNotFoundError):
                return "raylet"
            except OSError:  # too busy to say
                return None
        return None

    return raylet


@contextmanager
def _watched(ended: Callable[[], str | None]) -> Iterator[None]:
    """Interrupt the block by an InputError when a process has `ended`: Ray would wait for it.

    Blocks of other threads than the main one cannot be interrupted, and are not.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield
        return
    name: str | None = None
    left = threading.Event()

    def interrupt(*_: object) -> None:
        if not left.is_set():
            raise KeyboardInterrupt  # Ray's compiled core forgets all others

    def watch() -> None:
        nonlocal name
        while not left.wait(_EVERY):
            name = ended()
            # Again where that was swallowed, but not while what it has interrupted is cleared up.
            while name is not None and not left.is_set():
                signal.pthread_kill(main.ident or 0, signal.SIGUSR2)
                left.wait(_AGAIN)

    before = signal.signal(signal.SIGUSR2, interrupt)
    thread = threading.Thread(target=watch, daemon=True, name="ray watch")
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if name is None:
            raise
        raise InputError(
            f"Ray's {name} on this machine has ended (killed, or out of memory?). What is made is "
            "kept. Run the same command to resume."
        ) from None
    finally:
        left.set()
        thread.join()
        signal.signal(signal.SIGUSR2, before)


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
