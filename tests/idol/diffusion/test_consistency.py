"""A student's answers, and the teacher's steps: diffusers' own equations, and what they promise."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from idol.config.checks import ConfigError
from idol.config.distill import DistillConfig
from idol.config.sampling import Sampling, sampling_of
from idol.data.preparation import LatentBatch
from idol.diffusion.consistency import clean_latents, consistent, solver_step, solver_timesteps
from idol.diffusion.schedule import BETAS, noise_schedule, signal_fraction
from idol.diffusion.schedulers import consistency_scheduler, name_of, own_scheduler, scheduler_for
from idol.train.distill import Distillation
from tests.idol.diffusion.stubs import Stub, conditions, draw

SHAPE = (2, 2, 3, 4, 8, 8)
BOUNDS = [None, 1.5]
TOLD = DistillConfig().told


def at(*timesteps: int) -> Tensor:
    return torch.tensor(timesteps)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("steps", [1, 4])
def test_the_samplers_last_answer_is_the_consistency_function(
    bound: float | None, steps: int
) -> None:
    scheduler = consistency_scheduler(TOLD, bound)
    scheduler.set_timesteps(steps)
    latents = draw(*SHAPE)
    for timestep in scheduler.timesteps:
        noise = draw(*SHAPE, seed=int(timestep))
        before = latents
        latents = scheduler.step(
            noise, timestep, latents, generator=torch.Generator().manual_seed(0)
        ).prev_sample
    timesteps = scheduler.timesteps[-1:].expand(2)
    clean = clean_latents(noise, before, timesteps, bound)
    torch.testing.assert_close(latents, consistent(clean, before, timesteps, 10.0))


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("index", [0, 1, 20, 49])
def test_a_step_of_the_solver_is_that_of_ddim(bound: float | None, index: int) -> None:
    ddim = DDIMScheduler(
        **BETAS,
        clip_sample=bound is not None,
        clip_sample_range=bound or 1.0,
        set_alpha_to_one=bound is not None,
        timestep_spacing="trailing",
    )
    ddim.set_timesteps(50)
    timesteps, after = solver_timesteps(at(index, index), 50)
    assert int(timesteps[0]) == int(ddim.timesteps[49 - index])
    noise, latents = draw(*SHAPE), draw(*SHAPE, seed=1)
    wanted = ddim.step(
        noise, int(timesteps[0]), latents, use_clipped_model_output=bound is not None
    ).prev_sample
    torch.testing.assert_close(solver_step(noise, latents, timesteps, after, bound), wanted)


def test_the_sampler_asks_where_the_student_was_taught() -> None:
    taught = solver_timesteps(torch.arange(50), 50)[0].tolist()
    for steps in (1, 2, 3, 4, 50):
        scheduler = consistency_scheduler(TOLD)
        scheduler.set_timesteps(steps)
        asked = scheduler.timesteps.tolist()
        assert asked[0] == 999
        assert len(asked) == steps
        assert set(asked) <= set(taught)


def test_at_no_noise_the_answer_is_what_was_given() -> None:
    latents = draw(*SHAPE)
    assert torch.equal(consistent(draw(*SHAPE, seed=1), latents, at(0, 0), 10.0), latents)


def towards(clean: float) -> Stub:
    """Who says of any latents that all of the clean ones are this."""

    def noise(latents: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        fraction = signal_fraction(timesteps)[:, None, None, None, None, None]
        # A foreground of zeros, the unconditional one, says the opposite.
        sign = tokens.abs().sum(dim=(1, 2)).sign()[:, None, None, None, None, None] * 2 - 1
        return (latents - fraction.sqrt() * clean * sign) / (1 - fraction).sqrt()

    return Stub(noise)


def batch(clean: float) -> LatentBatch:
    return LatentBatch(("a", "b"), torch.full(SHAPE, clean), conditions(), (0, 1), (0, 1))


@pytest.mark.parametrize("error", ["huber", "l2"])
def test_who_answers_alike_along_the_path_has_no_error(error: str) -> None:
    objective = Distillation(towards(0.5), DistillConfig(guidance=1, error=error), 2.0)  # type: ignore[arg-type]
    for index in (0, 1, 30, 49):
        errors = objective.errors(
            towards(0.5), towards(0.5), batch(0.5), draw(*SHAPE), at(index, index)
        )
        assert errors.shape == (2,)
        assert errors.max() < 1e-6


def test_the_end_of_the_path_is_what_the_teacher_says_with_its_guidance() -> None:
    """With and without foreground it says .5 and -.5; guided by 1.5, -.5 + 1.5 x 1 = 1."""
    objective = Distillation(towards(0.5), DistillConfig(guidance=1.5, error="l2"), 2.0)
    end = at(0, 0)
    nobody = towards(0.1)  # its average is asked nothing there but what the path's end is
    errors = objective.errors(towards(1.0), nobody, batch(0.5), draw(*SHAPE), end)
    assert errors.max() < 1e-6
    errors = objective.errors(towards(0.5), nobody, batch(0.5), draw(*SHAPE), end)
    torch.testing.assert_close(errors, torch.tensor([0.25, 0.25]), atol=1e-4, rtol=0)


def test_teacher_target_and_student_are_asked_at_their_own_timesteps() -> None:
    teacher, target, student = towards(0.5), towards(0.5), towards(0.5)
    objective = Distillation(teacher, DistillConfig(), None)
    noise, given = draw(*SHAPE), batch(0.25)
    objective.errors(student, target, given, noise, at(0, 49))
    assert [c["timesteps"].tolist() for c in teacher.calls] == [[19, 999, 19, 999]]
    assert [c["timesteps"].tolist() for c in target.calls] == [[0, 979]]
    assert [c["timesteps"].tolist() for c in student.calls] == [[19, 999]]
    noisy = noise_schedule().add_noise(given.latents_BMFCHW, noise, at(19, 999))
    torch.testing.assert_close(student.calls[0]["latents"], noisy)


def test_huber_is_a_square_near_by_and_straight_far_off() -> None:
    distances = {}
    for apart in (1e-4, 0.5):
        objective = Distillation(towards(0.5), DistillConfig(guidance=1), None)
        found = objective.errors(
            towards(0.5 + apart), towards(0.5), batch(0.5), draw(*SHAPE), at(1, 1)
        )
        distances[apart] = float(found[0])
    assert distances[1e-4] == pytest.approx(1e-8 / 2e-3, rel=0.05)
    assert distances[0.5] == pytest.approx(0.5 - 1e-3, rel=1e-3)


def test_a_model_is_sampled_as_it_is_and_no_other_way() -> None:
    assert sampling_of("sd14") == Sampling("ddim", 50, 1.5)
    assert sampling_of("sd14", scheduler="unipc") == Sampling("unipc", 10, 1.5)
    assert sampling_of("tiny") == Sampling("unipc", 2, 1.0)
    assert sampling_of("tiny", scheduler="dpm", guidance=1.5) == Sampling("dpm", 2, 1.5)
    assert sampling_of("tiny", posed=True) == Sampling("unipc", 1, 1.0)
    assert sampling_of("sd14", posed=True) == sampling_of("sd14")
    assert sampling_of("tiny", scheduler="ddim") == Sampling("ddim", 50, 1.0)
    assert sampling_of("tiny", TOLD) == sampling_of("sd14", TOLD) == Sampling("lcm", 4, 1.0)
    assert sampling_of("sd14", dataclasses.replace(TOLD, solver_steps=2)) == ("lcm", 2, 1.0)
    assert sampling_of("sd14", TOLD, steps=2, guidance=1, scheduler="lcm") == ("lcm", 2, 1.0)
    with pytest.raises(ConfigError, match="--stage distill"):
        sampling_of("sd14", scheduler="lcm")
    with pytest.raises(ConfigError) as found:
        sampling_of("sd14", TOLD, scheduler="ddim", guidance=2.0, steps=51)
    for said in ("not ddim", "guidance of 1.5 in it", "at most 50, not 51"):
        assert said in str(found.value)


def test_schedulers_of_a_model_follow_from_what_it_says() -> None:
    assert isinstance(own_scheduler("sd14"), DDIMScheduler)
    tiny = own_scheduler("tiny")
    named = scheduler_for(*sampling_of("tiny")[:2])
    assert (name_of(tiny), name_of(named), name_of(own_scheduler("sd14"))) == (
        "unipc",
        "unipc",
        "ddim",
    )
    for scheduler in (tiny, named):
        scheduler.set_timesteps(2)
    assert tiny.timesteps.tolist() == named.timesteps.tolist() == [999, 500]
    assert torch.equal(tiny.sigmas, named.sigmas)
    other = DistillConfig(solver_steps=20, timestep_scaling=5).told
    config = own_scheduler("tiny", other, 3.0).config
    assert (config.original_inference_steps, config.timestep_scaling) == (20, 5)
    assert (config.clip_sample, config.clip_sample_range) == (True, 3.0)
    with pytest.raises(ValueError, match="no scheduler 'lcm'"):
        scheduler_for("lcm", 4)


def test_solver_steps_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match="divide 1000"):
        DistillConfig(solver_steps=30)
    with pytest.raises(ConfigError, match="huber"):
        DistillConfig(huber=0)
