"""Time and peak memory of a function, on a CPU or a GPU."""

import dataclasses
import gc
import time
from collections.abc import Callable

import torch

__all__ = ["Cost", "measure"]

# Seconds after which a second run is not worth its wait.
_LONG = 10.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """Best wall time in seconds, and bytes that were allocated at once beyond what was before."""

    seconds: float
    peak_bytes: int


def measure(function: Callable[[], object], device: str = "cpu", repeats: int = 3) -> Cost:
    """Measure `function`: memory in a first call, which warms up too, then time.

    On a CPU the peak follows every allocation of torch through its profiler; buffers inside
    math libraries are not torch's and are not seen.
    """
    peak = _peak_on_gpu(function) if device == "cuda" else _peak_on_cpu(function)
    best = _seconds(function, device)
    for _ in range(repeats - 1 if best < _LONG else 0):
        best = min(best, _seconds(function, device))
    return Cost(best, peak)


def _seconds(function: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_on_gpu(function: Callable[[], object]) -> int:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    function()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _peak_on_cpu(function: Callable[[], object]) -> int:
    gc.collect()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    current = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        current += event.nbytes()
        peak = max(peak, current)
    return peak
