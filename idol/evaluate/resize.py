"""The filters that protocols resize with before a network sees frames."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["pil_bicubic", "torch_bilinear"]


def pil_bicubic(frames: np.ndarray, size: int) -> np.ndarray:
    """(F, size, size, 3) float32 from (F, H, W, 3) uint8: PIL's antialiased bicubic filter, each
    channel in floating point, so that nothing is rounded or clipped. Values about [0, 255]."""
    resized = np.empty((len(frames), size, size, 3), np.float32)
    for out, frame in zip(resized, frames, strict=True):
        for channel in range(3):
            image = Image.fromarray(frame[..., channel].astype(np.float32))
            out[..., channel] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    return resized


def torch_bilinear(frames: np.ndarray, size: int) -> np.ndarray:
    """The same by torch's bilinear filter without antialiasing, as pytorch-fid does it."""
    import torch
    from torch.nn.functional import interpolate

    images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    resized = interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1).numpy()
