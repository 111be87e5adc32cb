"""How fast a run goes, and how much memory it took."""

from __future__ import annotations

import resource
import sys
import time

import torch

__all__ = ["Pace", "peak_memory"]


class Pace:
    """Seconds of a step, smoothed over about the last twenty.

    The first one, which warms up, is forgotten as soon as there is another.
    """

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._steps = 0
        self.seconds = 0.0

    def tick(self) -> float:
        """Note that a step is done; seconds that one takes."""
        now = time.perf_counter()
        took, self._last = now - self._last, now
        share = 1 / min(max(self._steps, 1), 20)
        self.seconds += share * (took - self.seconds)
        self._steps += 1
        return self.seconds

    @property
    def is_known(self) -> bool:
        """Whether a step was seen beside the first one, which starts workers and makes kernels."""
        return self._steps > 1

    def pause(self) -> None:
        """Leave the time since the last step out: it went into something else."""
        self._last = time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Bytes at most, so far: of the GPU's memory that torch took, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
