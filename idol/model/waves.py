"""The orthonormal cosine transform of square patches, by which preset `tiny` codes pictures.

Waves that patches of 4x4 have as well come first, in their order, so that a code of larger patches
begins with that of smaller ones.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from idol.config.patches import PATCH

__all__ = ["coded", "pictured"]


def coded(pixels_NCHW: Tensor, patch: int) -> Tensor:
    """(N, 3, H, W) to (N, 3 patch^2, H / patch, W / patch); or (N, 1, H, W) to a third of these.

    Channels are waves of lightness, then of two differences of colours; of a picture of one channel
    waves of that. The transform is scaled by 4 / patch.
    """
    patches = F.pixel_unshuffle(pixels_NCHW, patch)
    basis = _basis(patch, pixels_NCHW.shape[1], patches.device)
    # Rounding in what comes after depends on how latents lie in memory.
    return torch.einsum("kp,nphw->nkhw", basis * (PATCH / patch), patches).contiguous()


def pictured(codes_NCHW: Tensor, patch: int) -> Tensor:
    """The inverse of `coded`, but for rounding."""
    channels = codes_NCHW.shape[1] // patch**2
    basis = _basis(patch, channels, codes_NCHW.device)
    patches = torch.einsum("kp,nkhw->nphw", basis * (patch / PATCH), codes_NCHW)
    return F.pixel_shuffle(patches, patch)


@lru_cache
def _basis(patch: int, channels: int, device: torch.device) -> Tensor:
    """The orthonormal matrix from a patch's pixels, of 1 or 3 channels, to its waves."""
    at = torch.arange(patch, dtype=torch.float64)
    cosines = torch.cos(math.pi * (2 * at + 1) * at[:, None] / (2 * patch))
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    if channels == 1:
        colours = torch.ones(1, 1, dtype=torch.float64)
    cosines, colours = (
        m / torch.linalg.vector_norm(m, dim=1, keepdim=True) for m in (cosines, colours)
    )
    basis = torch.einsum("dc,ih,jw->dijchw", colours, cosines, cosines)
    waves = torch.arange(patch)
    fine = torch.maximum(waves[:, None], waves).expand(len(colours), -1, -1) >= PATCH
    order = fine.flatten().long().argsort(stable=True)
    return basis.reshape(len(order), -1)[order].float().to(device)
