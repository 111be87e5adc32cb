"""What preset `tiny` predicts: how the clean latents differ from what is known without a model.

A video's latents are mostly its background's, and a depth picture's mostly the farthest depth. A
network that must pass them on through its norms does so with errors, which samples show as grain.
So both, the origins, are subtracted before the network and added after it. In units of its spread
(one number a channel) each channel of the change is about as large as any other.

Shape suffixes: `idol.model.layout`. Ours; the paper's model predicts the noise.
"""

from functools import lru_cache

import torch
from torch import Tensor

from idol.config.model import DEPTH, DualModalUNetConfig
from idol.diffusion.schedule import signal_fraction

__all__ = ["change_of", "noise_of_change"]


def change_of(
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    background_BCHW: Tensor,
    modalities: tuple[int, ...],
    config: DualModalUNetConfig,
) -> Tensor:
    """Noisy latents z_t to the noisy change, of about unit variance in every channel.

    With a the `signal_fraction`: (z_t - sqrt(a) origin) / sqrt(a spread^2 + 1 - a), in the dtype
    of the latents.
    """
    fraction = _fraction(timesteps_B)
    spread_C11 = _channels(config.change_spread, latents_BMFCHW.device)
    origin = _origin(background_BCHW, modalities, config)
    variance = fraction * spread_C11.square() + (1 - fraction)
    change = (latents_BMFCHW.float() - fraction.sqrt() * origin) / variance.sqrt()
    return change.to(latents_BMFCHW.dtype)


def noise_of_change(
    predicted_BMFCHW: Tensor,
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    background_BCHW: Tensor,
    modalities: tuple[int, ...],
    config: DualModalUNetConfig,
) -> Tensor:
    """Turn a prediction of the clean change, in units of its spread, into the noise in z_t.

    z_0 = origin + spread x prediction, and the noise is what z_t has besides; float32.
    """
    fraction = _fraction(timesteps_B)
    spread_C11 = _channels(config.change_spread, latents_BMFCHW.device)
    clean = _origin(background_BCHW, modalities, config) + spread_C11 * predicted_BMFCHW.float()
    return (latents_BMFCHW.float() - fraction.sqrt() * clean) / (1 - fraction).sqrt()


def _fraction(timesteps_B: Tensor) -> Tensor:
    return signal_fraction(timesteps_B)[:, None, None, None, None, None]


def _origin(
    background_BCHW: Tensor, modalities: tuple[int, ...], config: DualModalUNetConfig
) -> Tensor:
    """(B, M, 1, C, H, W) float32: the background of video, the farthest depth of depth."""
    background = background_BCHW.float()
    far = _channels(config.far_latent, background.device).expand_as(background)
    return torch.stack([far if m == DEPTH else background for m in modalities], dim=1)[:, :, None]


@lru_cache
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)[:, None, None]
