"""The DDIM loop, the whole of it. Shape suffixes: see `idol.model.layout`."""

from collections.abc import Callable

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from idol.config.model import DEPTH, VIDEO
from idol.diffusion.conditions import Conditions
from idol.diffusion.guidance import Denoiser, guided_noise
from idol.diffusion.schedule import ddim_scheduler

__all__ = ["sample"]


# The paper does not say how it samples; 50 steps and a guidance of 1.5 are ours.
@torch.no_grad()
def sample(
    denoiser: Denoiser,
    conditions: Conditions,
    noise_BMFCHW: Tensor,
    *,
    modalities: tuple[int, ...] = (VIDEO, DEPTH),
    scheduler: DDIMScheduler | None = None,
    steps: int = 50,
    guidance: float = 1.5,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Turn noise into latents that fit the conditions.

    The result is a function of the arguments alone. Between steps the latents are float32,
    whatever the denoiser computes in.

    Args:
        denoiser: `DualModalDenoiser`, in the mode it is to run in.
        conditions: of B clips, on the noise's device.
        noise_BMFCHW: standard normal, in the dtype that the denoiser takes.
        modalities: the label of each of the M streams; `(VIDEO,)` for video alone.
        scheduler: `ddim_scheduler()` unless given, which keeps latents within no bound; its
            timesteps are set.
        steps: forwards of the denoiser, 1 to 1000.
        guidance: weight of the foreground image; 1 is none, and half the work.
        eta: 0 is DDIM; up to 1, noise from `generator` is added at each step.
        generator: where the noise of `eta` comes from.
        on_step: called after each step with its number, from 0, and the latents so far.

    Returns:
        Latents as the codec scales them, shaped like the noise and in its dtype.

    Raises:
        ValueError: `steps` is not 1 to 1000, or `eta` is above 0 without a generator.
    """
    scheduler = scheduler or ddim_scheduler()
    if not 1 <= steps <= scheduler.config.num_train_timesteps:
        raise ValueError(f"steps={steps} must be 1 to {scheduler.config.num_train_timesteps}")
    if eta > 0 and generator is None:
        raise ValueError(f"eta={eta} adds noise at each step: give a generator to draw it from")
    scheduler.set_timesteps(steps)
    latents_BMFCHW = noise_BMFCHW.float()
    for number, timestep in enumerate(scheduler.timesteps.tolist()):
        noise_pred = guided_noise(
            denoiser,
            latents_BMFCHW.to(noise_BMFCHW.dtype),
            torch.full((len(noise_BMFCHW),), timestep, device=noise_BMFCHW.device),
            conditions,
            guidance=guidance,
            modalities=modalities,
        )
        latents_BMFCHW = scheduler.step(
            noise_pred,
            timestep,
            latents_BMFCHW,
            eta=eta,
            # The noise that fits the bounded latents, lest the two add up to something else.
            use_clipped_model_output=scheduler.config.clip_sample,
            generator=generator,
        ).prev_sample
        if on_step is not None:
            on_step(number, latents_BMFCHW)
    return latents_BMFCHW.to(noise_BMFCHW.dtype)
