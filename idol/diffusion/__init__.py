"""From noise to latents: schedule, noise, classifier-free guidance, and a plain DDIM loop."""
