"""The DDIM loop against the equations, and against diffusers' scheduler stepped by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from diffusers import DDIMParallelScheduler, DDIMScheduler, PNDMScheduler

from idol.diffusion.sampling import sample, set_timesteps
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.diffusion.schedulers import own_scheduler
from idol.model import VIDEO, DualModalDenoiser
from tests.idol.diffusion.stubs import Stub, conditions, draw


def test_a_perfect_denoiser_lands_on_the_clean_latents() -> None:
    clean, noise = draw(2, 2, 3, 4, 8, 8), draw(2, 2, 3, 4, 8, 8, seed=9)
    schedule = noise_schedule()
    start = schedule.add_noise(clean, noise, torch.tensor([981, 981]))
    latents = sample(Stub(lambda *_: noise), conditions(), start, guidance=1)
    # It ends at the noise level of timestep 0, which is 0.029, and nowhere else.
    left = schedule.add_noise(clean, noise, torch.tensor([0, 0]))
    torch.testing.assert_close(latents, left, rtol=0, atol=2e-4)
    assert (latents - clean).abs().max() < 0.03 * noise.abs().max() + 1e-3


def test_a_perfect_denoiser_lands_there_from_pure_noise() -> None:
    """The oracle here knows the clean latents, and finds the noise of whatever it is given."""
    clean, start = draw(2, 2, 3, 4, 8, 8), draw(2, 2, 3, 4, 8, 8, seed=9)
    alphas = noise_schedule().alphas_cumprod

    def noise_in(latents: torch.Tensor, timesteps: torch.Tensor, _: object) -> torch.Tensor:
        alpha = alphas[timesteps][:, None, None, None, None, None]
        return (latents - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    for steps in (3, 20):
        latents = sample(Stub(noise_in), conditions(), start, steps=steps, guidance=1)
        assert (latents - clean).std() < 1.1 * (1 - alphas[0]).sqrt()


def test_equals_diffusers_scheduler_stepped_by_hand(trained: DualModalDenoiser) -> None:
    known, noise = conditions(), draw(2, 2, 3, 4, 8, 8, seed=9)
    # Stable Diffusion 1.4's own scheduler file, as diffusers reads it.
    by_hand = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    by_hand.set_timesteps(4)
    latents = noise
    none = torch.zeros_like(known.encoded_foreground_BTD)
    with torch.no_grad():
        for timestep in by_hand.timesteps:
            halves = [
                trained(
                    latents, timestep.expand(2), tokens, known.background_BCHW, known.pose_BFCHW
                ).noise_pred_BMFCHW
                for tokens in (none, known.encoded_foreground_BTD)
            ]
            guided = halves[0] + 1.5 * (halves[1] - halves[0])
            latents = by_hand.step(guided, timestep, latents).prev_sample
    # A forward of both halves sums in another order than two forwards.
    got = sample(trained, known, noise, steps=4)
    torch.testing.assert_close(got, latents, rtol=1e-4, atol=1e-4)


def test_latents_stay_within_their_bound() -> None:
    """Whatever the denoiser says; one that is right is not disturbed."""
    noise = draw(2, 2, 3, 4, 8, 8, seed=9)
    wild = Stub(lambda latents, *_: 3 * draw(*latents.shape, seed=int(latents.sum())))
    free = sample(wild, conditions(), noise, guidance=1, steps=9)
    kept = sample(wild, conditions(), noise, guidance=1, steps=9, scheduler=ddim_scheduler(0.5))
    assert free.abs().max() > 5
    assert kept.abs().max() == pytest.approx(0.5)

    clean = draw(2, 2, 3, 4, 8, 8).clamp(-0.5, 0.5)
    alphas = noise_schedule().alphas_cumprod

    def noise_in(latents: torch.Tensor, timesteps: torch.Tensor, _: object) -> torch.Tensor:
        alpha = alphas[timesteps][:, None, None, None, None, None]
        return (latents - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    right = sample(
        Stub(noise_in), conditions(), noise, guidance=1, steps=9, scheduler=ddim_scheduler(0.5)
    )
    torch.testing.assert_close(right, clean, rtol=0, atol=1e-4)


def test_calls_and_timesteps() -> None:
    stub, seen = Stub(lambda latents, *_: latents), []
    sample(stub, conditions(), draw(2, 2, 3, 4, 8, 8), on_step=lambda n, x: seen.append(n))
    assert [int(call["timesteps"][0]) for call in stub.calls] == list(range(981, 0, -20))
    assert seen == list(range(50))


def test_one_frame_of_video_alone(trained: DualModalDenoiser) -> None:
    known, noise = conditions(frames=1, pose=False), draw(2, 1, 1, 4, 8, 8)
    latents = sample(trained, known, noise, modalities=(VIDEO,), steps=2)
    assert latents.shape == noise.shape
    assert latents.isfinite().all()
    again = sample(trained, known, noise, modalities=(VIDEO,), steps=2)
    assert torch.equal(latents, again)
    assert not latents.requires_grad


def test_arithmetic_between_steps_is_float32() -> None:
    half = draw(2, 2, 1, 4, 8, 8).bfloat16()
    stub, between = Stub(lambda latents, *_: latents * 0.5), []
    latents = sample(stub, conditions(), half, steps=3, on_step=lambda n, x: between.append(x))
    assert {x.dtype for x in between} == {torch.float32}
    assert {call["latents"].dtype for call in stub.calls} == {torch.bfloat16}
    assert latents.dtype == torch.bfloat16


def test_eta_adds_noise_of_its_generator() -> None:
    stub, noise = Stub(lambda latents, *_: latents * 0.5), draw(2, 2, 1, 4, 8, 8)

    def run(eta: float, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sample(stub, conditions(), noise, steps=3, eta=eta, generator=generator)

    assert torch.equal(run(1.0, 0), run(1.0, 0))
    assert not torch.equal(run(1.0, 0), run(1.0, 1))
    assert torch.equal(run(0.0, 0), run(0.0, 1))
    with pytest.raises(ValueError, match="give a generator"):
        sample(stub, conditions(), noise, eta=0.5)


@pytest.mark.parametrize(
    ("spacing", "steps", "expected"),
    [
        ("leading", 50, list(range(981, 0, -20))),
        ("leading", 400, list(range(799, 0, -2))),  # begins late, as Stable Diffusion's would
        ("leading", 999, list(range(999, 0, -1))),
        ("trailing", 50, list(range(999, 0, -20))),
        ("trailing", 1000, list(range(999, -1, -1))),
        ("trailing", 1, [999]),
    ],
)
def test_timesteps_are_those_of_diffusers(
    spacing: Literal["leading", "trailing"], steps: int, expected: list[int]
) -> None:
    stub = Stub(lambda latents, *_: 0.5 * latents)
    noise = draw(2, 1, 1, 4, 2, 2)
    scheduler = ddim_scheduler(spacing=spacing)
    latents = sample(
        stub, conditions(frames=1, pose=False), noise, modalities=(VIDEO,), guidance=1, steps=steps,
        scheduler=scheduler,
    )  # fmt: skip
    assert [int(call["timesteps"][0]) for call in stub.calls] == expected
    by_hand = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing=spacing,
    )
    by_hand.set_timesteps(steps)
    theirs = noise
    for timestep in by_hand.timesteps:
        theirs = by_hand.step(0.5 * theirs, timestep, theirs).prev_sample
    assert torch.equal(latents, theirs)


@pytest.mark.parametrize("steps", [20, 1000])
def test_trailing_steps_of_a_perfect_denoiser_land_on_the_clean_latents(steps: int) -> None:
    clean, start = draw(2, 2, 1, 4, 2, 2), draw(2, 2, 1, 4, 2, 2, seed=9)
    alphas = noise_schedule().alphas_cumprod

    def noise_in(latents: torch.Tensor, timesteps: torch.Tensor, _: object) -> torch.Tensor:
        alpha = alphas[timesteps][:, None, None, None, None, None]
        return (latents - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    scheduler = ddim_scheduler(spacing="trailing")
    latents = sample(
        Stub(noise_in), conditions(frames=1), start, steps=steps, guidance=1, scheduler=scheduler
    )
    assert (latents - clean).std() < 1.1 * (1 - alphas[0]).sqrt()


def test_steps_that_do_not_fit_the_spacing_are_refused() -> None:
    noise, stub = draw(2, 2, 1, 4, 8, 8), Stub(lambda x, *_: x)
    with pytest.raises(ValueError, match="would begin at timestep 1000, and 999 is the last"):
        sample(stub, conditions(), noise, steps=1000)
    # Of diffusers' own steps these would leave out or repeat some.
    for steps in (3, 61, 400):
        trailing = ddim_scheduler(spacing="trailing")
        with pytest.raises(ValueError, match="must divide 1000"):
            sample(stub, conditions(), noise, steps=steps, scheduler=trailing)
    assert not stub.calls


@pytest.mark.parametrize("kind", [DDIMScheduler, DDIMParallelScheduler, PNDMScheduler])
def test_a_spacing_between_whose_timesteps_no_step_leads_is_refused(kind: Any) -> None:
    config = own_scheduler("tiny").config
    for steps in (4, 50):
        with pytest.raises(ValueError, match=f"leads {1000 // steps} .* spacing linspace they lie"):
            set_timesteps(kind.from_config(config), steps)
        leading = kind.from_config(config, timestep_spacing="leading")
        set_timesteps(leading, steps)
        assert leading.timesteps[0] == 1000 - 1000 // steps
        trailing = kind.from_config(config, timestep_spacing="trailing")
        set_timesteps(trailing, steps)
        assert trailing.timesteps[0] == 999


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_steps(steps: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 1000"):
        sample(Stub(lambda x, *_: x), conditions(), draw(2, 2, 1, 4, 8, 8), steps=steps)


def test_training_and_sampling_share_their_betas() -> None:
    assert torch.equal(noise_schedule().betas, ddim_scheduler().betas)
    betas = noise_schedule().betas
    assert [float(betas[i]) for i in (0, -1)] == pytest.approx([0.00085, 0.012])
    assert len(betas) == 1000
