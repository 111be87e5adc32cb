"""Stable Diffusion's VAE as a codec, frozen (paper, appendix B)."""

from __future__ import annotations

from os import PathLike
from typing import Self

import torch
from diffusers import AutoencoderKL
from torch import Tensor

__all__ = ["VAECodec"]


class VAECodec:
    """diffusers' `AutoencoderKL`; latents are scaled by its configuration (0.18215).

    Args:
        vae: the network; it is frozen and put into evaluation mode.
        chunk: pictures that pass through it at a time; it bounds memory.
    """

    stochastic = True

    def __init__(self, vae: AutoencoderKL, *, chunk: int = 16) -> None:
        self.vae = vae.requires_grad_(False).eval()
        self.chunk = chunk
        self.channels: int = vae.config.latent_channels
        self.factor: int = 2 ** (len(vae.config.block_out_channels) - 1)
        self.scale: float = vae.config.scaling_factor

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str]) -> Self:
        """Load from a folder in diffusers' format, or by a hub name. Raises OSError for neither."""
        return cls(AutoencoderKL.from_pretrained(folder))

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """Move the network, in place."""
        self.vae.to(device, dtype)
        return self

    @torch.no_grad()
    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """See `LatentCodec`; float32."""
        height, width = pixels_NCHW.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"a picture of {width}x{height} pixels does not divide into latents of "
                f"{self.factor}x{self.factor}"
            )
        latents = []
        for start in range(0, len(pixels_NCHW), self.chunk):
            part = slice(start, start + self.chunk)
            posterior = self.vae.encode(pixels_NCHW[part].to(self.vae.dtype)).latent_dist
            latent = posterior.mean.float()
            if noise_NCHW is not None:
                latent = latent + posterior.std.float() * noise_NCHW[part]
            latents.append(latent)
        return torch.cat(latents) * self.scale

    @torch.no_grad()
    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """See `LatentCodec`; float32."""
        latents = (latents_NCHW / self.scale).to(self.vae.dtype)
        return torch.cat(
            [self.vae.decode(part).sample.float() for part in latents.split(self.chunk)]
        )
