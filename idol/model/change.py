"""What preset `tiny` predicts: how the clean latents differ from what is known without a model.

A video's latents are mostly its background's, and a depth picture's mostly the farthest depth. A
network that must pass them on through its norms does so with errors, which samples show as grain.
So both, the origins, are subtracted before the network and added after it. In units of its spread
(one number a channel) each channel of the change is about as large as any other. Where the origin
shows the foreground's person too, posed, a video's change is a fraction of that, and so is its
spread: else what is wrong in every prediction, in its units, would outweigh the change itself. So
is depth's, where its origin has the posed person before the farthest depth.

Where a person covers the background all of its detail would have to be predicted, to be taken away,
and patches of 8x8 have much of it. So a model of those may give a matte besides: where the origin's
fine detail, which patches of 4x4 have not, is covered.

Shape suffixes: `idol.model.layout`. Ours; the paper's model predicts the noise.
"""

from functools import lru_cache

import torch
from torch import Tensor

from idol.config.model import DEPTH, DualModalUNetConfig
from idol.config.patches import PATCH, channels_of, patch_of
from idol.diffusion.schedule import signal_fraction
from idol.model.layout import of_frames
from idol.model.waves import coded, pictured

__all__ = ["change_of", "far_latent", "noise_of_change"]

# A code of nothing is a matte of 2 %, and that of 1 in all pixels is one of a half.
_MATTE_SCALE = 4.0


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
    spread_M1C11 = _spread(modalities, config, latents_BMFCHW.device)
    origin = _origin(background_BCHW, modalities, config)
    variance = fraction * spread_M1C11.square() + (1 - fraction)
    change = (latents_BMFCHW.float() - fraction.sqrt() * origin) / variance.sqrt()
    return change.to(latents_BMFCHW.dtype)


def noise_of_change(
    predicted_BMFCHW: Tensor,
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    background_BCHW: Tensor,
    modalities: tuple[int, ...],
    config: DualModalUNetConfig,
    matte_BMFPHW: Tensor | None = None,
) -> Tensor:
    """Turn a prediction of the clean change, in units of its spread, into the noise in z_t.

    z_0 = origin + spread x prediction, and the noise is what z_t has besides; float32. A matte
    takes fine detail from the origin, pixel by pixel; it is given by the code of what is covered,
    in the waves of a patch's P pixels (`idol.model.waves`).
    """
    fraction = _fraction(timesteps_B)
    spread_M1C11 = _spread(modalities, config, latents_BMFCHW.device)
    origin = _origin(background_BCHW, modalities, config)
    if matte_BMFPHW is not None:
        origin = _uncovered(origin, matte_BMFPHW.float(), config)
    clean = origin + spread_M1C11 * predicted_BMFCHW.float()
    return (latents_BMFCHW.float() - fraction.sqrt() * clean) / (1 - fraction).sqrt()


def far_latent(config: DualModalUNetConfig, device: torch.device) -> Tensor:
    """(C, 1, 1) float32: the latent of the farthest depth. It is made once on each device, since a
    step that is captured as a CUDA graph may copy nothing from the CPU."""
    return _channels(config.far_latent, device)


def _fraction(timesteps_B: Tensor) -> Tensor:
    return signal_fraction(timesteps_B)[:, None, None, None, None, None]


def _spread(
    modalities: tuple[int, ...], config: DualModalUNetConfig, device: torch.device
) -> Tensor:
    """(M, 1, C, 1, 1): of each modality's change."""
    spread_C11 = _channels(config.change_spread, device)
    video = config.posed_spread if config.posed_foreground else 1.0
    depth = config.posed_depth_spread if config.posed_depth else 1.0
    return torch.stack([spread_C11 * (depth if m == DEPTH else video) for m in modalities])[:, None]


def _origin(
    background_BCHW: Tensor, modalities: tuple[int, ...], config: DualModalUNetConfig
) -> Tensor:
    """(B, M, F or 1, C, H, W) float32: the background of video, the farthest depth of depth, or
    what is known of both."""
    if background_BCHW.ndim == 6:
        return torch.stack([background_BCHW[:, m] for m in modalities], dim=1).float()
    background = of_frames(background_BCHW).float()
    far = far_latent(config, background.device).expand_as(background)
    return torch.stack([far if m == DEPTH else background for m in modalities], dim=1)


def _uncovered(origin_BMFCHW: Tensor, matte_BMFPHW: Tensor, config: DualModalUNetConfig) -> Tensor:
    """(B, M, F, C, H, W): the origin, in each frame, without fine detail where the matte is."""
    patch, shared = patch_of(config.latent_channels), channels_of(PATCH)
    coarse = origin_BMFCHW.clone()
    coarse[:, :, :, shared:] = 0
    fine = origin_BMFCHW - coarse
    # A matte is smooth, as lightness is: its waves count as much as those differ from person to
    # place. The mean of a patch, the first of them, counts wholly.
    spread, waves = config.change_spread, PATCH**2
    lightness = (*spread[:waves], *spread[shared : shared + patch**2 - waves])
    weights = tuple(PATCH * deviation / lightness[0] for deviation in lightness)
    weighed = matte_BMFPHW * _channels(weights, matte_BMFPHW.device)
    covered = pictured(weighed.flatten(0, 2), patch)
    left = torch.sigmoid(_MATTE_SCALE * (1 - covered)).unflatten(0, matte_BMFPHW.shape[:3])
    pixels = pictured(fine.flatten(0, 2), patch).unflatten(0, fine.shape[:3])
    return coarse + coded((left * pixels).flatten(0, 2), patch).unflatten(0, left.shape[:3])


@lru_cache
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)[:, None, None]
