"""Random weights of full-size networks in small files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn


def random_state(module: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Random tensors for `module`, which may be on the meta device.

    Each tensor steps through a store much smaller than itself, and such a file holds the stores
    alone. Weights are scaled so that values neither vanish nor explode from layer to layer.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, like in module.state_dict().items():
        steps = (13, 7, 3, 1)[4 - like.dim() :]
        length = 1 + sum((n - 1) * s for n, s in zip(like.shape, steps, strict=True))
        fan_in = like[0].numel() if like.dim() > 1 else 100
        store = torch.randn(length, generator=generator) * (2.0 / fan_in) ** 0.5
        state[name] = store.as_strided(like.shape, steps)
    return state


def write(path: Path, state: dict[str, torch.Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path
