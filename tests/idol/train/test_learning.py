"""The model, its losses and its sampler together: they learn."""

from __future__ import annotations

import pytest
import torch

from idol.diffusion.sampling import predict, sample
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.losses import LossConfig, training_losses
from idol.model import DualModalDenoiser, DualModalUNetConfig, set_trainable
from idol.model.initial_weights import start_from_nothing
from idol.train.validation import validate
from tests.idol.train.clips import four_clips

MICRO = DualModalUNetConfig(
    latent_channels=12,
    block_out_channels=(32, 16),
    attention_levels=(True, False),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=2,
    cross_attention_dim=8,
    foreground_dim=4,
    background_init="zero",
    prediction="v",
)
LOSS = LossConfig(denoise_error="v")
RATE = 4e-3


def overfit(config: DualModalUNetConfig, steps: int) -> tuple[DualModalDenoiser, float]:
    """Train on the same four clips by Eq. 7; return the model and its fall.

    The fall is the fresh model's denoising loss, by `validate`, over the trained one's.
    """
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(config)
    start_from_nothing(model)
    batch, schedule = four_clips(), noise_schedule()
    before = validate(model, [batch], schedule)["denoise"]
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(set_trainable(model, "video"), betas=(0.9, 0.98), fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min((step + 1) / 20, 1 - step / steps)
        noise = torch.randn(batch.latents_BMFCHW.shape, generator=generator)
        timesteps = torch.randint(0, 1000, (4,), generator=generator)
        output = predict(
            model,
            schedule.add_noise(batch.latents_BMFCHW, noise, timesteps),
            timesteps,
            batch.conditions,
            return_features=True,
        )
        losses = training_losses(output.noise_pred_BMFCHW, noise, output.features, LOSS, timesteps)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model, before / validate(model, [batch], schedule)["denoise"]


def distances(model: DualModalDenoiser) -> torch.Tensor:
    """Mean squared distances (M, 4, 4) of what is generated for each clip to every real clip."""
    batch = four_clips()
    real = batch.latents_BMFCHW
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(1))
    # No foreground was dropped while training: guidance would have nothing to lean on.
    scheduler = ddim_scheduler(1.0)
    generated = sample(model, batch.conditions, noise, scheduler=scheduler, guidance=1, steps=25)
    return (generated[:, None] - real[None]).square().flatten(3).mean(dim=3).movedim(2, 0)


def test_the_loss_on_four_clips_falls_to_a_fifth() -> None:
    _, fall = overfit(MICRO, steps=90)
    assert fall > 5


@pytest.mark.slow
def test_what_is_generated_is_each_clips_own() -> None:
    """Errors at late timesteps grow while sampling: it takes more steps than the loss does."""
    model, fall = overfit(MICRO, steps=400)
    assert fall > 25
    for distances_44 in distances(model):
        assert distances_44.argmin(dim=1).tolist() == [0, 1, 2, 3]
