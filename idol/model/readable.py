"""When a layer's weights may be read without calling the layer."""

import torch
from torch import nn

__all__ = ["readable", "untouched"]

_PLAIN = (nn.Linear, nn.Conv1d)


def readable(device: torch.device, *layers: nn.Linear | nn.Conv1d) -> bool:
    """Whether what layers compute is what their weights say, and these are on `device`.

    Offloading (accelerate's, diffusers') gives a layer another `forward`, which fetches its
    weights; adapters and quantization put another layer in its place. Those must be called.
    """
    return all(
        type(layer) in _PLAIN and untouched(layer) and layer.weight.device == device
        for layer in layers
    )


def untouched(*modules: nn.Module) -> bool:
    """Whether nothing, such as offloading, has given one of the modules another `forward`."""
    return all("forward" not in module.__dict__ for module in modules)
