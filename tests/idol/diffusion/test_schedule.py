"""Stable Diffusion 1.4's noise schedule, and v."""

from __future__ import annotations

import pytest
import torch

from idol.diffusion.schedule import (
    ddim_scheduler,
    noise_of_v,
    noise_schedule,
    noise_that_hides,
    signal_fraction,
)
from tests.idol.diffusion.stubs import draw

TIMESTEPS = torch.tensor([0, 500, 999])


def test_signal_fraction() -> None:
    fractions = signal_fraction(TIMESTEPS)
    # sqrt of betas is linear from sqrt(.00085) to sqrt(.012), worked out in float64.
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = (1 - betas).cumprod(0)[TIMESTEPS].float()
    torch.testing.assert_close(fractions, expected)
    assert fractions.tolist() == pytest.approx([0.99915, 0.2763, 0.0047], rel=0.01)


def test_v_gives_the_noise_back() -> None:
    clean, noise = draw(3, 2, 1, 4, 5, 5), draw(3, 2, 1, 4, 5, 5, seed=1)
    schedule = noise_schedule()
    noisy = schedule.add_noise(clean, noise, TIMESTEPS)
    v = schedule.get_velocity(clean, noise, TIMESTEPS)
    torch.testing.assert_close(noise_of_v(v, noisy, TIMESTEPS), noise, rtol=0, atol=1e-5)
    assert noise_of_v(v.bfloat16(), noisy.bfloat16(), TIMESTEPS).dtype == torch.float32


@pytest.mark.parametrize("timestep", [0, 500, 999])
def test_the_noise_that_hides_latents_makes_them_look_as_asked(timestep: int) -> None:
    clean, seen = draw(2, 2, 1, 4, 5, 5), draw(2, 2, 1, 4, 5, 5, seed=1)
    noise = noise_that_hides(clean, seen, timestep)
    noisy = noise_schedule().add_noise(clean, noise, torch.tensor([timestep] * 2))
    torch.testing.assert_close(noisy, seen, rtol=0, atol=1e-5)
    assert noise_that_hides(clean.bfloat16(), seen.bfloat16(), timestep).dtype == torch.float32


def test_bounds_are_those_of_the_scheduler() -> None:
    free, bound = ddim_scheduler(), ddim_scheduler(2.0)
    assert not free.config.clip_sample
    assert bound.config.clip_sample
    assert bound.config.clip_sample_range == 2
    # Noise that is left in the end is seen in pixels, and none is where there is a bound.
    assert free.final_alpha_cumprod == free.alphas_cumprod[0]
    assert bound.final_alpha_cumprod == 1
