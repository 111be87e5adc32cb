"""From noise to latents: classifier-free guidance, and a plain DDIM loop."""

from idol.sampling.ddim import sample
from idol.sampling.guidance import guided_noise, predict

__all__ = ["guided_noise", "predict", "sample"]
