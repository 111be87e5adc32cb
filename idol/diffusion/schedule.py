"""How much noise there is at a timestep: Stable Diffusion 1.4's schedule (method, "Tensors").

One set of betas serves training (`noise_schedule`) and sampling (`ddim_scheduler`).
"""

from functools import lru_cache
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from idol.config.model import TIMESTEPS

__all__ = [
    "BETAS",
    "ddim_scheduler",
    "noise_of_v",
    "noise_schedule",
    "noise_that_hides",
    "signal_fraction",
]

BETAS: dict[str, Any] = {
    "num_train_timesteps": TIMESTEPS,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
}


# The forward process z_t of Eq. 1 and 2.
def noise_schedule() -> DDPMScheduler:
    """Return the schedule to train with: `add_noise(latents, noise, timesteps_B)`, t in 0..999."""
    return DDPMScheduler(**BETAS, clip_sample=False)


def ddim_scheduler(
    bound: float | None = None, *, spacing: Literal["leading", "trailing"] = "leading"
) -> DDIMScheduler:
    """Return the schedule to sample with, as Stable Diffusion 1.4 configures its own.

    Args:
        bound: what no value of a latent exceeds (`LatentCodec.bound`). The latents that a step
            predicts are kept within it, as models of pixels are sampled (Ho et al., 2020): errors
            of late timesteps, which a step divides by as little as .07, cannot pile up.
        spacing: diffusers' `timestep_spacing`. leading, Stable Diffusion's: timesteps are
            `1000 // steps` apart, counted from 1 (`steps_offset`): 981, 961, ..., 1 for 50 steps.
            They begin late where the steps do not divide 1000 (400 steps at 799), though from pure
            noise, and 1000 steps do not fit. trailing: they count down from the last, 999, 979,
            ..., 19; the steps must divide 1000.

    Without a bound the last step ends at the noise of timestep 0 and not at none
    (`set_alpha_to_one` is off), as the model never learnt less: a noise of standard deviation
    0.029 stays if the prediction is perfect. Pixels would show it, so with a bound the latents that
    the last step predicts are the result.
    """
    bounds = {"clip_sample": bound is not None, "clip_sample_range": bound or 1.0}
    return DDIMScheduler(
        **BETAS,
        **bounds,
        set_alpha_to_one=bound is not None,
        steps_offset=1,
        timestep_spacing=spacing,
    )


def signal_fraction(timesteps_B: Tensor) -> Tensor:
    """The fraction of a noisy latent's variance that is the latent's own at unit variance, (B,).

    The product of (1 - beta) up to the timestep: .9991 at timestep 0, .0047 at 999; float32.
    """
    return _signal_fractions(timesteps_B.device)[timesteps_B]


def noise_that_hides(latents_BMFCHW: Tensor, seen_BMFCHW: Tensor, timestep: int) -> Tensor:
    """The noise with which the noisy latents z_t of these latents are `seen`, whatever they are.

    (z_t - sqrt(a) z_0) / sqrt(1 - a), with a the `signal_fraction`; float32. What is standard
    normal when seen is all that a sampler begins from: to tell z_0 from it is to tell it from the
    conditions alone.
    """
    fraction = signal_fraction(torch.tensor(timestep))
    hidden = fraction.sqrt() * latents_BMFCHW.float()
    return (seen_BMFCHW.float() - hidden) / (1 - fraction).sqrt()


def noise_of_v(v_BMFCHW: Tensor, latents_BMFCHW: Tensor, timesteps_B: Tensor) -> Tensor:
    """Turn a prediction of v = sqrt(a) noise - sqrt(1 - a) z_0 into the noise in z_t, float32.

    With a the `signal_fraction` and z_t = sqrt(a) z_0 + sqrt(1 - a) noise (Salimans and Ho, 2022).
    """
    fraction = signal_fraction(timesteps_B)[:, None, None, None, None, None]
    return fraction.sqrt() * v_BMFCHW.float() + (1 - fraction).sqrt() * latents_BMFCHW.float()


@lru_cache
def _signal_fractions(device: torch.device) -> Tensor:
    return noise_schedule().alphas_cumprod.to(device)
