"""A codec without weights, for preset `tiny`: a latent is a patch of pixels, losslessly."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["PatchCodec"]


class PatchCodec:
    """Space to depth: 4x4 RGB patches are 48 channels."""

    factor = 4
    channels = 3 * factor**2
    stochastic = False
    bound: float | None = 1.0

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """See `LatentCodec`; noise is not used. The scale is 1."""
        if pixels_NCHW.shape[-2] % self.factor or pixels_NCHW.shape[-1] % self.factor:
            raise ValueError(
                f"a picture of {tuple(pixels_NCHW.shape[-2:])} pixels has no whole "
                f"{self.factor}x{self.factor} patches"
            )
        return F.pixel_unshuffle(pixels_NCHW, self.factor)

    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """See `LatentCodec`; the exact inverse of `encode`."""
        return F.pixel_shuffle(latents_NCHW, self.factor)
