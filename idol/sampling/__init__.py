"""From noise to latents: the noise schedule, classifier-free guidance, and a plain DDIM loop."""

from idol.sampling.ddim import sample
from idol.sampling.guidance import guided_noise, predict
from idol.sampling.schedule import ddim_scheduler, noise_schedule

__all__ = ["ddim_scheduler", "guided_noise", "noise_schedule", "predict", "sample"]
