"""A model of small patches that goes on with larger ones."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from idol.config.presets import preset, with_patches
from idol.diffusion.schedule import signal_fraction
from idol.model import CheckpointError, DualModalDenoiser, DualModalUNetConfig
from idol.model.initial_weights import start_from_nothing, widened

_SMALL = {"block_out_channels": (16, 16), "attention_levels": (True, False), "foreground_dim": 8}
_MORE = 192 - 48


def _config() -> DualModalUNetConfig:
    return dataclasses.replace(preset("tiny"), **_SMALL)


def _inputs(channels: int) -> dict[str, torch.Tensor]:
    """Of which narrower ones are a part."""
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    latents, background, pose = (
        drawn(1, 2, 2, 192, 4, 4),
        drawn(1, 192, 4, 4),
        drawn(1, 2, 192, 4, 4),
    )
    return {
        "latents_BMFCHW": latents[:, :, :, :channels],
        "timesteps_B": torch.tensor([400]),
        "encoded_foreground_BTD": drawn(1, 3, 8),
        "background_BCHW": background[:, :channels],
        "pose_BFCHW": pose[:, :, :channels],
    }


@torch.no_grad()
def test_the_picture_is_as_before_with_the_fine_detail_of_the_background() -> None:
    torch.manual_seed(0)
    small = DualModalDenoiser.from_config(_config())
    start_from_nothing(small)
    for parameter in small.parameters():  # as after some training
        parameter.add_(torch.randn_like(parameter), alpha=0.02)
    large = widened(small, with_patches(_config(), 8))
    assert large.settings == with_patches(_config(), 8)
    before = small(**_inputs(48)).noise_pred_BMFCHW
    inputs = _inputs(192)
    after = large(**inputs).noise_pred_BMFCHW
    torch.testing.assert_close(after[:, :, :, :48], before, rtol=1e-5, atol=1e-5)
    # What noise there is if the clean latents are the background's, or white's.
    noisy, fraction = inputs["latents_BMFCHW"], signal_fraction(inputs["timesteps_B"])
    clean = torch.stack([inputs["background_BCHW"], torch.zeros(1, 192, 4, 4)], dim=1)[:, :, None]
    noise = (noisy - fraction.sqrt() * clean) / (1 - fraction).sqrt()
    torch.testing.assert_close(after[:, :, :, 48:], noise[:, :, :, 48:], rtol=1e-5, atol=1e-5)


def test_what_is_new_learns() -> None:
    """Weights of zero are no trap: both ends of the path have features to learn from."""
    torch.manual_seed(0)
    small = DualModalDenoiser.from_config(_config())
    start_from_nothing(small)
    large = widened(small, with_patches(_config(), 8)).train()
    large(**_inputs(192)).noise_pred_BMFCHW.square().mean().backward()
    assert large.unet.conv_out.weight.grad is not None
    assert large.unet.conv_out.weight.grad[48:].abs().amin(dim=(1, 2, 3)).min() > 0
    entries = (large.unet.conv_in, large.unet.background_conv, large.controlnet.conv_in)
    for entry in (*entries, large.controlnet.pose_conv):
        gradient = entry.weight.grad
        assert gradient is not None
        assert gradient[:, 48:].abs().amax(dim=(0, 2, 3)).min() > 0


def test_only_a_model_of_smaller_patches_is_widened() -> None:
    large = DualModalDenoiser.from_config(with_patches(_config(), 8))
    with pytest.raises(CheckpointError, match="192 latent channels is not made one of 48"):
        widened(large, _config())
    other = dataclasses.replace(_config(), prediction="noise", change_spread=(), far_latent=())
    with pytest.raises(CheckpointError, match="predicts the noise of 48"):
        widened(DualModalDenoiser.from_config(other), with_patches(_config(), 8))
