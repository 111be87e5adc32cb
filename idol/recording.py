"""What a function launches on a GPU, recorded as a CUDA graph and given to it at once again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from idol.errors import first_line

__all__ = ["Recorded", "Recorder", "cuda_graph", "warn_not_recorded"]

_log = logging.getLogger(__name__)

# What cuBLAS and cuDNN choose and allocate at their first calls cannot be recorded.
_WARM_UP = 3


@dataclass(frozen=True)
class Recorded:
    """Where a recorded function puts what it returns, and how it is run: into these tensors."""

    outputs: list[Tensor]
    play: Callable[[], object]


Recorder = Callable[[Callable[[], list[Tensor]]], Recorded]


def cuda_graph(function: Callable[[], list[Tensor]], warm_up: int = _WARM_UP) -> Recorded:
    """Record what a function launches on the current GPU; its outputs are there once it is played.

    The function reads tensors that stay where they are, draws nothing and asks the GPU nothing.

    Args:
        warm_up: how often it runs before it is recorded; none where it has run already.

    Raises:
        RuntimeError: it does something that no graph holds.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(warm_up):
            function()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Threads that decode pin memory meanwhile: that is none of this graph's business.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function()
    return Recorded(outputs, graph.replay)


def warn_not_recorded(what: str, error: BaseException) -> None:
    """Log that something is computed launch by launch, and why.

    The first cause is told: the end of a recording that failed fails, too.
    """
    while error.__context__ is not None:
        error = error.__context__
    why = first_line(error)
    _log.warning(f"{what} not recorded as a CUDA graph ({why}): slower, and no other result")
