"""Stable Diffusion's VAE as a codec, frozen (paper, appendix B)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from os import PathLike
from typing import Any, Self

import torch
from diffusers import AutoencoderKL
from torch import Tensor

__all__ = ["VAECodec"]


class VAECodec:
    """diffusers' `AutoencoderKL`; latents are scaled by its configuration (0.18215).

    Args:
        config: the network's, in diffusers' words.
        load: gives the network when a picture is first encoded or decoded, which those who train
            on cached latents may never do; it is frozen and put into evaluation mode.
        chunk: pictures that pass through it at a time; it bounds memory.
    """

    stochastic = True
    bound: float | None = None

    def __init__(
        self, config: Mapping[str, Any], load: Callable[[], AutoencoderKL], *, chunk: int = 16
    ) -> None:
        self._load = load
        self._place: tuple[torch.device | str, torch.dtype] | None = None
        self.chunk = chunk
        self.channels: int = config["latent_channels"]
        self.factor: int = 2 ** (len(config["block_out_channels"]) - 1)
        self.scale: float = config.get("scaling_factor", 0.18215)

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], *, lazily: bool = False) -> Self:
        """From a folder in diffusers' format, or by a hub name; loaded now unless `lazily`.

        Raises OSError for neither.
        """
        codec = cls(
            AutoencoderKL.load_config(folder), lambda: AutoencoderKL.from_pretrained(folder)
        )
        if not lazily:
            _ = codec.vae
        return codec

    @property
    def is_loaded(self) -> bool:
        """Whether the network is there already."""
        return "vae" in vars(self)

    @cached_property
    def vae(self) -> AutoencoderKL:
        """The network, where it belongs."""
        vae = self._load().requires_grad_(False).eval()
        return vae.to(*self._place) if self._place else vae

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """Move the network, in place, now or when it is loaded."""
        self._place = device, dtype
        if self.is_loaded:
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
            moments = torch.cat([posterior.mean, posterior.logvar], dim=1)
            noise = None if noise_NCHW is None else noise_NCHW[part]
            latents.append(self.sample(moments, noise))
        return torch.cat(latents)

    def sample(self, moments_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """Scaled latents (N, channels, H', W'), float32, from a posterior's moments.

        Args:
            moments_NCHW: means, then logarithms of variances, as `shards.latents` keeps them.
            noise_NCHW: as for `encode`.
        """
        mean, logvar = moments_NCHW.float().chunk(2, dim=1)
        if noise_NCHW is not None:
            mean = mean + torch.exp(0.5 * logvar) * noise_NCHW
        return mean * self.scale

    @torch.no_grad()
    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """See `LatentCodec`; float32."""
        latents = (latents_NCHW / self.scale).to(self.vae.dtype)
        return torch.cat(
            [self.vae.decode(part).sample.float() for part in latents.split(self.chunk)]
        )
