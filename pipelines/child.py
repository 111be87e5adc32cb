"""The process in which a worker's clips are made, apart from whoever waits for them.

Whatever a clip does to it, hang, crash or take all memory, is seen from outside
(`pipelines.guard`). It ends when the process does that started it, however that dies.
"""

import contextlib
import faulthandler
import fcntl
import os
import resource
import select
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["COMMAND", "main"]

COMMAND = "from pipelines.child import main; main()"

_F_SETSIG = 10  # of Linux, which the module fcntl does not name
_OOM = 600  # of 1000: the system ends this process before the one that knows what to do about it


def main() -> None:
    """Serve tasks: file descriptors of the connection, the lifeline and the dump are arguments."""
    connection, lifeline, dump = (int(text) for text in sys.argv[1:4])
    _end_with(lifeline)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(_OOM))
    faulthandler.enable(dump)
    faulthandler.register(signal.SIGUSR1, dump, all_threads=True)
    with Connection(connection) as served:
        _serve(served)


def _end_with(lifeline: int) -> None:
    """Be killed when the other end of a pipe, to which nothing is ever written, is closed.

    The system does it, so that a process which hangs in native code does not stay behind.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # closed before
        os._exit(1)


def _serve(connection: Connection) -> None:
    from pipelines.commit import Attempt  # much to import: once what watches this process is there

    worker: Any = None
    while True:
        try:
            verb, *what = connection.recv()  # `load` or `run`
        except EOFError:
            return
        try:
            if verb == "load":
                hands, memory, threads = what
                worker = None
                _limit_memory(memory)
                worker = _load(hands, threads)
                answer: Any = None
            else:
                task, again, given_up = what
                attempt = Attempt(
                    again,
                    given_up,
                    starting=lambda key: connection.send(("starting", key)),
                    made=lambda quarantined: connection.send(("made", quarantined)),
                )
                answer = worker.run(task, attempt)
                worker.flush()
        except Exception as error:
            connection.send(("raised", _plain(error), time.process_time()))
        else:
            connection.send(("done", answer, time.process_time()))


def _load(hands: Any, threads: int | None) -> Any:
    if threads is not None:
        import cv2

        cv2.setNumThreads(threads)
    return hands.worker()


def _limit_memory(memory: int | None) -> None:
    """Have Python raise MemoryError where more would be taken, which costs the clip alone."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = hard if memory is None else memory
    if hard != resource.RLIM_INFINITY and soft != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _plain(error: Exception) -> Exception:
    """The error, or what it says where it cannot be sent."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
