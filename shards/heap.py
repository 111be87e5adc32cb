"""What a process does with its memory: it keeps what it freed, and leaves modules alone.

A step of training on a CPU allocates the same hundreds of megabytes as the one before. The C
library gives what is freed at the end of its heap back to the system, which then has to clear each
page anew when it is touched again: a tenth of a small model's step.

Importing torch, diffusers and transformers makes a million objects that stay. Python's collector
looks through them for garbage again and again meanwhile: a quarter of the time that it takes.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["keep_freed_memory", "made_to_stay"]

# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

# So much may lie unused at the end of the heap. What is larger than the second has a mapping of its
# own, which goes when it is freed: the heap does not grow by holes of that size.
_KEPT, _OWN_MAPPING = 2**30, 2**26

_OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory(environ: Mapping[str, str] | None = None) -> bool:
    """Have the C library keep up to a gigabyte of freed memory; changes no result.

    For a process that computes on a CPU, at any time. Nothing is done where the user has set a
    variable of glibc's about it, nor with another C library.

    Returns:
        Whether it was done.
    """
    if any((os.environ if environ is None else environ).get(name) for name in _OF_THE_USER):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT) and mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING))


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Modules that are imported in here are never looked through for garbage.

    Does nothing where torch is there already, or the collector is off.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
