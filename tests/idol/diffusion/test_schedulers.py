"""Samplers by name: the published ten steps, and what they are worth where the answer is known."""

from __future__ import annotations

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from idol.diffusion.sampling import set_timesteps
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.diffusion.schedulers import TEN_STEPS, DPMSolver, UniPC, bound_of, scheduler_for

ALPHAS = noise_schedule().alphas_cumprod.double()
# Standard deviation of the data, which is normal: the best prediction of the noise is then known.
SPREAD = 0.3


def deviations(timestep: int) -> float:
    """Standard deviation of noisy data; the flow keeps a latent's number of them."""
    signal = ALPHAS[timestep]
    return float((signal * SPREAD**2 + 1 - signal).sqrt())


def error_of(name: str, steps: int) -> float:
    """How far off the flow a latent is when the last timestep is reached, as a fraction."""
    scheduler = scheduler_for(name, steps)
    set_timesteps(scheduler, steps)
    *timesteps, last = scheduler.timesteps
    latents = torch.full((1, 1), deviations(int(timesteps[0])))
    for timestep in timesteps:
        noise = latents * float((1 - ALPHAS[timestep]).sqrt()) / deviations(timestep) ** 2
        latents = scheduler.step(noise, timestep, latents, return_dict=False)[0]
    return abs(float(latents) / deviations(int(last)) - 1)


@pytest.mark.parametrize("name", ["unipc", "dpm"])
def test_ten_steps_are_the_published_ones(name: str) -> None:
    scheduler = scheduler_for(name, 10)
    set_timesteps(scheduler, 10)
    assert scheduler.timesteps.tolist() == [*TEN_STEPS]
    assert [*TEN_STEPS] == [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
    signal = ALPHAS[[*TEN_STEPS]]
    expected = ((1 - signal) / signal).sqrt().float()
    torch.testing.assert_close(scheduler.sigmas[:-1], expected)
    assert scheduler.sigmas[-1] == 0


@pytest.mark.parametrize("name", ["unipc", "dpm"])
def test_ten_steps_follow_the_flow_where_ten_of_ddim_do_not(name: str) -> None:
    assert error_of(name, 10) < 0.04
    assert error_of(name, 10) < error_of("ddim", 10) / 2


def test_other_numbers_of_steps_begin_at_the_last_timestep() -> None:
    for name in ("unipc", "dpm"):
        scheduler = scheduler_for(name, 7)
        set_timesteps(scheduler, 7)
        assert int(scheduler.timesteps[0]) == 999
        assert len(scheduler.timesteps) == 7


def test_names_are_ours_or_those_of_diffusers() -> None:
    assert type(scheduler_for("unipc", 10)) is UniPC
    assert type(scheduler_for("dpm", 10)) is DPMSolver
    assert type(scheduler_for("EulerDiscreteScheduler", 5)) is EulerDiscreteScheduler
    assert scheduler_for("ddim", 50, bound=2.0).config == ddim_scheduler(2.0).config
    assert scheduler_for("ddim", 1000).config.timestep_spacing == "trailing"
    with pytest.raises(ValueError, match="no scheduler 'unicp'"):
        scheduler_for("unicp", 10)
    with pytest.raises(ValueError, match="no scheduler 'AutoencoderKL'"):
        scheduler_for("AutoencoderKL", 10)
    with pytest.raises(ValueError, match="not for models that predict the noise"):
        scheduler_for("FlowMatchEulerDiscreteScheduler", 10)


@pytest.mark.parametrize("name", ["ddim", "DDPMScheduler", "DDIMParallelScheduler"])
@pytest.mark.parametrize("bound", [2.0, None])
def test_those_that_keep_latents_within_bounds_are_given_them(
    name: str, bound: float | None
) -> None:
    assert bound_of(scheduler_for(name, 10, bound=bound)) == bound


def test_what_a_scheduler_does_not_know_bounds_nothing() -> None:
    assert bound_of(EulerDiscreteScheduler.from_config(ddim_scheduler(2.0).config)) is None


def test_all_have_the_betas_of_training() -> None:
    for name in ("ddim", "unipc", "dpm", "EulerDiscreteScheduler", "LMSDiscreteScheduler"):
        alphas = scheduler_for(name, 10).alphas_cumprod
        torch.testing.assert_close(alphas, noise_schedule().alphas_cumprod)
