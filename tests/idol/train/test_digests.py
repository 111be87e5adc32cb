"""What identifies the networks that a run does not train."""

from __future__ import annotations

import torch
from torch import nn

from idol.train.digests import _digest


class Scaled(nn.Linear):
    """With a scale that has no axes, as CLIP's."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scale = nn.Parameter(torch.tensor(2.0))


def test_every_number_counts_and_nothing_else_does() -> None:
    module, other = Scaled(), Scaled()
    other.load_state_dict(module.state_dict())
    assert _digest(other) == _digest(module)
    for parameter in other.parameters():
        with torch.no_grad():
            parameter.view(-1)[0] += 1
        assert _digest(other) != _digest(module)
        with torch.no_grad():
            parameter.copy_(dict(module.named_parameters())[_name(other, parameter)])
    assert _digest(other) == _digest(module)
    assert _digest(module.half()) != _digest(other)


def _name(module: nn.Module, wanted: nn.Parameter) -> str:
    return next(name for name, parameter in module.named_parameters() if parameter is wanted)
