"""A small model of the paper's architecture, and how to move it off its initialisation."""

from __future__ import annotations

from typing import Any

import torch

SMALL: dict[str, Any] = {
    "block_out_channels": (16, 32),
    "attention_levels": (True, False),
    "layers_per_block": 1,
    "attention_heads": 4,
    "norm_groups": 4,
    "cross_attention_dim": 12,
    "foreground_dim": 20,
}


def randomise(model: torch.nn.Module, seed: int = 0, scale: float = 0.1) -> torch.nn.Module:
    """Move every parameter away from where it starts, zero initialisations included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)
    return model
