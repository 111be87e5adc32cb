"""Reading a file of weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from preprocess.errors import InputError

__all__ = ["load_state"]


def load_state(path: Path, nested: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote, on the CPU."""
    if not Path(path).is_file():
        raise InputError(f"there is no file of weights at {path}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(content if nested is None else content[nested])
