"""uint8 pictures as a VAE takes them, the same for training and for cached latents."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["scale_pictures"]


def scale_pictures(pictures_NHWC: Tensor | np.ndarray, size: int) -> Tensor:
    """Resize uint8 pictures to `size` x `size` and scale them: (N, C, size, size) in [-1, 1]."""
    pixels = torch.as_tensor(pictures_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    # Averages of whole pixels leave flat regions, and colours that mean depths, as they are.
    mode = "area" if min(height, width) >= size else "bilinear"
    return F.interpolate(pixels, (size, size), mode=mode)
