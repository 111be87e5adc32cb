"""HDNet (Jafarian and Park, CVPR 2021) in PyTorch: depth of a person from one image."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preprocess.annotators.hdnet.network import HourglassNetwork
    from preprocess.annotators.hdnet.tensor_bundle import load_tensor_bundle
    from preprocess.annotators.hdnet.weights_file import hourglass_state_dict

__all__ = ["HourglassNetwork", "hourglass_state_dict", "load_tensor_bundle"]

_HOMES = {
    "HourglassNetwork": "network",
    "hourglass_state_dict": "weights_file",
    "load_tensor_bundle": "tensor_bundle",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: the networks load torch, and `spec`, in this package, must not."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
