"""One pass of training: noise in, predicted noise out, the losses of Eq. 7."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diffusers import DDPMScheduler

from idol.data.conditions import LatentBatch
from idol.diffusion.noise import Randomness
from idol.losses import LossConfig, Losses, feature_gradient_norms, training_losses
from idol.model.layout import DEPTH
from idol.model.unet import DenoiserOutput

__all__ = ["step_losses", "wants_features"]


def wants_features(batch: LatentBatch, config: LossConfig) -> bool:
    """Whether the consistency losses need features: with depth, and unless they are left out."""
    compared = config.motion_weight > 0 or config.cross_attention_weight > 0
    return DEPTH in batch.modalities and compared


# Eq. 2 and 7 (Eq. 8 in pre-training), for one timestep a clip.
def step_losses(
    denoiser: Callable[..., DenoiserOutput],
    batch: LatentBatch,
    positions: Sequence[int],
    random: Randomness,
    schedule: DDPMScheduler,
    config: LossConfig,
    *,
    gradient_norms: bool = False,
) -> tuple[Losses, dict[str, float]]:
    """Noise the latents, denoise them, and compare.

    Args:
        positions: of the clips in the stream's order; with `random` they give noise and timestep.
        gradient_norms: also measure the consistency losses' gradients at the features.

    Returns:
        The losses, and if asked for the norms: `gradient_motion`, `gradient_cross_attention`.
    """
    latents, device = batch.latents_BMFCHW, batch.latents_BMFCHW.device
    timesteps = random.timesteps(positions, schedule.config.num_train_timesteps).to(device)
    noise = random.normal("noise", positions, latents.shape[1:]).to(device)
    output = denoiser(
        schedule.add_noise(latents, noise, timesteps),
        timesteps,
        batch.conditions.encoded_foreground_BTD,
        batch.conditions.background_BCHW,
        batch.conditions.pose_BFCHW,
        modalities=batch.modalities,
        return_features=wants_features(batch, config),
    )
    losses = training_losses(output.noise_pred_BMFCHW, noise, output.features, config, timesteps)
    norms = feature_gradient_norms(losses, output.features) if gradient_norms else {}
    return losses, {f"gradient_{name}": norm for name, norm in norms.items()}
