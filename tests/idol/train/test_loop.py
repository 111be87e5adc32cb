"""One pass: noise that goes in is the noise to be found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions
from idol.diffusion.noise import Randomness
from idol.diffusion.schedule import noise_schedule
from idol.losses import LossConfig
from idol.model import DEPTH, VIDEO, DualModalDenoiser
from idol.model.unet import DenoiserOutput
from idol.train.loop import step_losses
from tests.idol.train.test_learning import MICRO


def test_a_denoiser_that_knows_the_clean_latents_has_no_loss() -> None:
    latents = torch.randn(3, 2, 2, 4, 4, 4)
    conditions = Conditions(torch.zeros(3, 5, 8), torch.zeros(3, 4, 4, 4))
    batch = LatentBatch(("a", "b", "c"), latents, conditions, (VIDEO, DEPTH), (4, 5, 6))
    schedule = noise_schedule()
    seen = SimpleNamespace()

    def denoiser(noisy: Any, timesteps: Any, *inputs: Any, **options: Any) -> DenoiserOutput:
        seen.timesteps = timesteps
        kept = schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1, 1)
        return DenoiserOutput((noisy - kept.sqrt() * latents) / (1 - kept).sqrt(), ())

    random = Randomness(2)
    losses, _ = step_losses(denoiser, batch, random, schedule, LossConfig())
    assert float(losses.total) < 1e-4
    assert seen.timesteps.tolist() == random.timesteps([4, 5, 6]).tolist()


def test_clips_of_pure_noise_are_seen_as_a_sampler_begins_and_the_others_as_before() -> None:
    latents = torch.randn(8, 2, 2, 4, 4, 4)
    conditions = Conditions(torch.zeros(8, 5, 8), torch.zeros(8, 4, 4, 4))
    positions = tuple(range(8))
    batch = LatentBatch(tuple("abcdefgh"), latents, conditions, (VIDEO, DEPTH), positions)
    schedule, random, found = noise_schedule(), Randomness(2), []
    config = LossConfig(denoise_error="change", motion_weight=0, cross_attention_weight=0)

    def losing(pure_noise: float, clean: torch.Tensor) -> float:
        def denoiser(noisy: Any, timesteps: Any, *inputs: Any, **options: Any) -> DenoiserOutput:
            found.append((noisy, timesteps))
            kept = schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1, 1)
            return DenoiserOutput((noisy - kept.sqrt() * clean) / (1 - kept).sqrt(), ())

        losses, _ = step_losses(denoiser, batch, random, schedule, config, pure_noise=pure_noise)
        return float(losses.total)

    # What it makes of them is compared with the clips as ever: an answer of 0 is wrong by them.
    assert losing(1.0, latents) < 1e-4
    wrong = latents.square().flatten(2).mean(dim=2).sum(dim=1).mean()
    torch.testing.assert_close(
        losing(1.0, torch.zeros_like(latents)), float(wrong), rtol=1e-3, atol=0
    )
    drawn = random.normal("noise", positions, latents.shape[1:])
    for noisy, timesteps in found:
        assert timesteps.tolist() == [999] * 8
        torch.testing.assert_close(noisy, drawn, rtol=0, atol=1e-5)

    losing(0.0, latents)
    losing(0.5, latents)
    (before, at), (half, at_half) = found[2:]
    pure = random.dropped(positions, 0.5, purpose="pure-noise")
    assert 0 < pure.sum() < 8
    assert torch.equal(at_half, torch.where(pure, 999, at))
    assert torch.equal(half[~pure], before[~pure])
    torch.testing.assert_close(half[pure], drawn[pure], rtol=0, atol=1e-5)


def test_measured_gradients_do_not_take_the_names_of_losses() -> None:
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(MICRO)
    channels = MICRO.latent_channels
    conditions = Conditions(
        torch.randn(1, 5, MICRO.foreground_dim),
        torch.randn(1, channels, 4, 4),
        torch.randn(1, 2, channels, 4, 4),
    )
    latents = torch.randn(1, 2, 2, channels, 4, 4)
    batch = LatentBatch(("a",), latents, conditions, (VIDEO, DEPTH), (0,))
    _, norms = step_losses(
        model, batch, Randomness(0), noise_schedule(), LossConfig(), gradient_norms=True
    )
    assert set(norms) == {"gradient_motion", "gradient_cross_attention"}
    assert all(norm > 0 for norm in norms.values())
