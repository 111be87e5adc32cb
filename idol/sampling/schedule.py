"""How much noise there is at a timestep: Stable Diffusion 1.4's schedule (method, "Tensors").

One set of betas serves training (`noise_schedule`) and sampling (`ddim_scheduler`).
"""

from __future__ import annotations

from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler

_BETAS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
    # A latent's values have no bounds: clipping is for models of pixels.
    "clip_sample": False,
}


# The forward process z_t of Eq. 1 and 2.
def noise_schedule() -> DDPMScheduler:
    """Return the schedule to train with: `add_noise(latents, noise, timesteps_B)`, t in 0..999."""
    return DDPMScheduler(**_BETAS)


def ddim_scheduler() -> DDIMScheduler:
    """Return the schedule to sample with, as Stable Diffusion 1.4 configures its own.

    Timesteps are `1000 // steps` apart, counted from 1 (`steps_offset`): 981, 961, ..., 1 for 50
    steps. The last step ends at the noise of timestep 0 and not at none (`set_alpha_to_one` is
    off), as the model never learnt less: a noise of standard deviation 0.029 stays if the
    prediction is perfect.
    """
    return DDIMScheduler(**_BETAS, set_alpha_to_one=False, steps_offset=1)
