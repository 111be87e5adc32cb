"""Totals in float64, also where the device has none (Apple's GPUs): there the CPU adds up."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["Total", "has_float64", "scalar", "total"]

Total = Tensor | float
"""A float64 scalar: a tensor, or a number where the device has no such tensors. Add to 0.0."""


@cache
def has_float64(device_type: str) -> bool:
    """Whether tensors of float64 can be on such devices."""
    try:
        torch.zeros((), dtype=torch.float64, device=device_type)
    except (TypeError, RuntimeError):  # what MPS raises, and XPU
        return False
    return True


def total(x: Tensor) -> Total:
    """The sum of all entries, in float64; without a graph."""
    if has_float64(x.device.type):
        return x.sum(dtype=torch.float64)
    return float(x.detach().cpu().numpy().sum(dtype=np.float64))


def scalar(value: Total, like: Tensor, dtype: torch.dtype) -> Tensor:
    """The total as a scalar tensor on the device of `like`."""
    if isinstance(value, Tensor):
        return value.to(dtype)
    return torch.full((), value, dtype=dtype, device=like.device)
