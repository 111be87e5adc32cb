"""An autoencoder as a codec, frozen: Stable Diffusion's (paper, appendix B), or a small one."""

from collections.abc import Callable, Mapping
from functools import cached_property
from os import PathLike
from typing import Any, Self, TypeAlias

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from idol.config.autoencoder import factor_of
from idol.encoders.joint import JOINT_CHANNELS, with_farthest
from idol.encoders.small import SmallAutoencoder
from idol.tensors import naming_damage

__all__ = ["VAECodec", "VAEModel", "load_vae", "vae_class"]

VAEModel: TypeAlias = AutoencoderKL | SmallAutoencoder


class VAECodec:
    """diffusers' `AutoencoderKL`, or a small one; latents scaled by its configuration (0.18215).

    Args:
        config: the network's, in diffusers' words.
        load: gives the network in a dtype when an image is first encoded or decoded, which those
            who train on cached latents may never do; it is frozen and put into evaluation mode.
        chunk: images that pass through it at a time; it bounds memory.

    Attributes:
        holds_depth: whether its images have depth as a fourth channel (`idol.encoders.joint`);
            images without one are then encoded as if all in them were farthest.
    """

    stochastic = True
    bound: float | None = None

    def __init__(
        self,
        config: Mapping[str, Any],
        load: Callable[[torch.dtype], VAEModel],
        *,
        chunk: int = 16,
    ) -> None:
        self._load = load
        self._place: tuple[torch.device | str, torch.dtype] = "cpu", torch.float32
        self.chunk = chunk
        self.channels: int = config["latent_channels"]
        self.factor: int = factor_of(config)
        self.scale: float = config.get("scaling_factor", 0.18215)
        self.holds_depth = config.get("in_channels", 3) == JOINT_CHANNELS

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], *, lazily: bool = False, chunk: int = 16
    ) -> Self:
        """From a folder in diffusers' format, or by a hub name; loaded now unless `lazily`.

        Raises OSError for neither.
        """
        codec = cls(
            AutoencoderKL.load_config(folder),
            lambda dtype: load_vae(folder, dtype=dtype),
            chunk=chunk,
        )
        if not lazily:
            _ = codec.vae
        return codec

    @classmethod
    def of(cls, vae: VAEModel, *, chunk: int = 16) -> Self:
        """A codec of a network that is there already, and stays where it is."""
        codec = cls(vae.config, lambda _: vae, chunk=chunk)
        codec.vae = vae.requires_grad_(False).eval()
        return codec

    @property
    def is_loaded(self) -> bool:
        """Whether the network is there already."""
        return "vae" in vars(self)

    @cached_property
    def vae(self) -> VAEModel:
        """The network, where it belongs."""
        device, dtype = self._place
        return self._load(dtype).requires_grad_(False).eval().to(device)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """Move the network, in place, now or when it is loaded."""
        self._place = device, dtype
        if self.is_loaded:
            # diffusers' own `to` warns of modules to be kept in float32, of which there are none.
            nn.Module.to(self.vae, device, dtype)
        return self

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """See `LatentCodec`; float32."""
        return self.sample(self.moments(pixels_NCHW), noise_NCHW)

    @property
    def _device(self) -> torch.device | str:
        """Where images must be to pass through the network, offloaded or not."""
        for module in self.vae.modules():
            hook = getattr(module, "_hf_hook", None)
            if (place := getattr(hook, "execution_device", None)) is not None:
                return place
        return self.vae.device

    @torch.no_grad()
    def moments(self, pixels_NCHW: Tensor) -> Tensor:
        """The posterior's moments (N, 2 channels, H', W') of images (N, 3, H, W) in [-1, 1].

        With `holds_depth` also of images (N, 4, H, W).

        Means, then logarithms of variances, unscaled, in the network's dtype and on its device.

        Raises:
            ValueError: H or W is no multiple of `factor`.
        """
        height, width = pixels_NCHW.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"an image of {width}x{height} pixels does not divide into latents of "
                f"{self.factor}x{self.factor}"
            )
        if self.holds_depth and pixels_NCHW.shape[1] < JOINT_CHANNELS:
            pixels_NCHW = with_farthest(pixels_NCHW)
        moments = []
        for part in pixels_NCHW.split(self.chunk):
            posterior = self.vae.encode(part.to(self._device, self.vae.dtype)).latent_dist
            moments.append(torch.cat([posterior.mean, posterior.logvar], dim=1))
        return torch.cat(moments)

    def sample(self, moments_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        """Scaled latents (N, channels, H', W'), float32, from what `moments` gave.

        Args:
            noise_NCHW: as for `encode`.
        """
        mean, logvar = moments_NCHW.float().chunk(2, dim=1)
        if noise_NCHW is not None:
            mean = mean + torch.exp(0.5 * logvar) * noise_NCHW
        return mean * self.scale

    @torch.no_grad()
    def decode(self, latents_NCHW: Tensor) -> Tensor:
        """See `LatentCodec`; float32. With `holds_depth` images (N, 4, H, W)."""
        latents = (latents_NCHW / self.scale).to(self._device, self.vae.dtype)
        return torch.cat(
            [self.vae.decode(part).sample.float() for part in latents.split(self.chunk)]
        )


def load_vae(folder: str | PathLike[str], **options: Any) -> VAEModel:
    """The network in a folder in diffusers' format, of whichever class, or by a hub name.

    Raises OSError for neither, and for damaged weights.
    """
    with naming_damage(folder):
        return vae_class(folder).from_pretrained(folder, **options)


def vae_class(folder: str | PathLike[str]) -> type[VAEModel]:
    """The class of the network in a folder, or by a hub name. Raises OSError for neither."""
    name = AutoencoderKL.load_config(folder).get("_class_name")
    return SmallAutoencoder if name == SmallAutoencoder.__name__ else AutoencoderKL
