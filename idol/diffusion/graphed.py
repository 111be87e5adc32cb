"""A denoiser whose launches are recorded, and given to the GPU at once in the steps that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from idol.diffusion.sampling import Denoiser
from idol.recording import Recorded, Recorder, cuda_graph, warn_not_recorded

__all__ = ["GraphedDenoiser"]

# Of shapes that are recorded; each keeps the memory of a forward.
_MOST = 2


class GraphedDenoiser:
    """A denoiser without gradients: the first forward of a shape is computed, the second recorded.

    A recording reads weights where they are: whoever moves them takes a new one.

    Args:
        denoiser: what is recorded; it must draw nothing.
        record: how. What cannot be recorded is computed, and a line is logged.
    """

    def __init__(self, denoiser: Denoiser, record: Recorder | None = None) -> None:
        self._denoiser = denoiser
        self._record = record or (lambda function: cuda_graph(function, warm_up=0))
        self._seen: dict[Any, _Forward | None] = {}
        self._fails = False

    @torch.no_grad()
    def __call__(self, *inputs: Tensor | None, **options: Any) -> Any:
        """As the denoiser, without features; the output is the caller's to keep."""
        shapes = [None if x is None else (x.shape, x.dtype, x.device) for x in inputs]
        kind = (*shapes, *sorted(options.items()))
        if self._fails or kind not in self._seen:
            if len(self._seen) < _MOST:
                self._seen[kind] = None
            return self._denoiser(*inputs, **options)
        forward = self._seen[kind]
        if forward is None:
            try:
                forward = self._recorded(inputs, options)
            except RuntimeError as error:
                self._fails = True
                warn_not_recorded("denoising is", error)
                return self._denoiser(*inputs, **options)
            self._seen[kind] = forward
        for kept, new in zip(forward.read, inputs, strict=True):
            if kept is not None and new is not None:
                kept.copy_(new)
        forward.recorded.play()
        return _Prediction(forward.recorded.outputs[0].clone())

    def _recorded(self, inputs: tuple[Tensor | None, ...], options: dict[str, Any]) -> _Forward:
        read = [None if x is None else x.detach().clone() for x in inputs]
        return _Forward(
            read,
            self._record(lambda: [self._denoiser(*read, **options).noise_pred_BMFCHW]),
        )


@dataclass(frozen=True)
class _Forward:
    read: list[Tensor | None]
    recorded: Recorded


@dataclass(frozen=True)
class _Prediction:
    noise_pred_BMFCHW: Tensor
