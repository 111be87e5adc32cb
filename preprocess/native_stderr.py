"""What native code writes to stderr before it can be asked not to."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silent_stderr"]

_lock = threading.Lock()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what is written to file 2: for libraries that greet from C++ and have no switch."""
    with _lock:
        kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)
