"""What native code writes to stderr, file 2 of the process, behind Python's back."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["STDERR", "silent_stderr", "stderr_to"]

STDERR = threading.RLock()
"""Of whoever has file 2 lead elsewhere for a while: of two at once, one would leave it there."""


@contextmanager
def stderr_to(file: int) -> Iterator[int | None]:
    """Have file 2 lead to another open file; others who would wait.

    Gives a copy of what it was, which is closed at the end; None where it was closed.
    """
    with STDERR:
        try:
            shown = os.dup(2)
        except OSError:
            shown = None
        os.dup2(file, 2)
        try:
            yield shown
        finally:
            if shown is None:
                os.close(2)
            else:
                os.dup2(shown, 2)
                os.close(shown)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what is written to file 2: for libraries that greet from C++ and have no switch."""
    with open(os.devnull, "w") as nowhere, stderr_to(nowhere.fileno()):
        yield
