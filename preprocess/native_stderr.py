"""What native code writes to stderr, file 2 of the process, behind Python's back."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["STDERR", "silent_stderr"]

STDERR = threading.RLock()
"""Of whoever has file 2 lead elsewhere for a while: of two at once, one would leave it there."""


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what is written to file 2: for libraries that greet from C++ and have no switch."""
    with STDERR:
        kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)
