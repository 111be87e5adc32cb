"""An exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from idol.train.distributed import divided_like, whole_state

__all__ = ["MovingAverage"]


class MovingAverage:
    """Follows parameters: average = decay * average + (1 - decay) * parameter, after each step."""

    def __init__(self, names: Mapping[nn.Parameter, str], decay: float) -> None:
        self._names = dict(names)
        self._decay = decay
        self._average = [parameter.detach().clone() for parameter in self._names]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        torch._foreach_lerp_(self._average, [*self._names], 1 - self._decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in place of the parameters in here."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """The average as whole tensors on the CPU, by the parameters' names."""
        return whole_state(dict(zip(self._names.values(), self._average, strict=True)))

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        for average, (parameter, name) in zip(self._average, self._names.items(), strict=True):
            average.copy_(divided_like(state[name], parameter))

    @torch.no_grad()
    def _swap(self) -> None:
        for average, parameter in zip(self._average, self._names, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)
