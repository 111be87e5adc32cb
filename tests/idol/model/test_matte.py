"""The matte of a model that predicts the change: what it covers, and who has one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from idol.config import ConfigError
from idol.config.presets import preset, with_patches
from idol.diffusion.schedule import signal_fraction
from idol.encoders import PatchCodec
from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model.change import noise_of_change
from idol.model.initial_weights import start_from_nothing, with_settings
from idol.model.stages import is_trained
from idol.model.waves import coded, pictured

_TIMESTEP = torch.tensor([400])


def _config(*, matte: bool = True) -> DualModalUNetConfig:
    return dataclasses.replace(
        with_patches(preset("tiny"), 8),
        block_out_channels=(16, 16),
        attention_levels=(True, False),
        foreground_dim=8,
        matte=matte,
    )


def _clean(
    predicted: Tensor, noisy: Tensor, background: Tensor, config: DualModalUNetConfig, matte: Tensor
) -> Tensor:
    """The clean latents whose noise it is."""
    noise = noise_of_change(predicted, noisy, _TIMESTEP, background, (0, 1), config, matte)
    fraction = signal_fraction(_TIMESTEP)
    return (noisy - (1 - fraction).sqrt() * noise) / fraction.sqrt()


def test_fine_detail_is_covered_pixel_by_pixel_in_each_frame_and_stream() -> None:
    """What patches of 4x4 have is left, and what is predicted is added to it."""
    config, codec = _config(), PatchCodec(8)
    generator = torch.Generator().manual_seed(0)
    background = codec.encode(torch.rand(1, 3, 32, 32, generator=generator))
    noisy, predicted = torch.randn(2, 1, 2, 2, 192, 4, 4, generator=generator)
    # Far beyond either end, so that a matte is 0 or 1; frames, streams and pixels differ.
    covered = torch.rand(1, 2, 2, 32, 32, generator=generator) > 0.5
    code = coded((covered.float() * 20 - 10).flatten(0, 2)[:, None] / 4, 8)
    # A code's waves are measured by the spread of lightness, its mean by 1.
    spread = torch.tensor(config.change_spread)[:, None, None]
    code *= spread[0] / torch.cat([spread[:16], spread[48:96]])
    clean = _clean(predicted, noisy, background, config, code.unflatten(0, (1, 2, 2)))
    left = codec.decode((clean - spread * predicted).flatten(0, 2)).unflatten(0, (1, 2, 2))
    coarse = background.clone()
    coarse[:, 48:] = 0
    coarse, whole = codec.decode(coarse), codec.decode(background)
    expected = coarse[:, None] + (whole - coarse)[:, None] * ~covered[:, 0, :, None]
    torch.testing.assert_close(left[:, 0], expected, rtol=0, atol=1e-5)
    # White has no fine detail.
    torch.testing.assert_close(left[:, 1], torch.ones(1, 2, 3, 32, 32), rtol=0, atol=1e-5)


def test_waves_of_one_channel_are_those_of_lightness() -> None:
    grey = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    for patch in (4, 8):
        code = coded(grey, patch)
        torch.testing.assert_close(pictured(code, patch), grey)
        colour = coded(grey.expand(-1, 3, -1, -1), patch)
        # The first channels of either: the coarse waves.
        torch.testing.assert_close(colour[:, :16], code[:, :16] * 3**0.5, rtol=1e-5, atol=1e-6)


def _inputs() -> tuple[Tensor, ...]:
    """Latents, timesteps, foreground, background and poses."""
    generator = torch.Generator().manual_seed(3)
    latents, foreground, background, pose = (
        torch.randn(*shape, generator=generator)
        for shape in ((1, 2, 2, 192, 4, 4), (1, 3, 8), (1, 192, 4, 4), (1, 2, 192, 4, 4))
    )
    return latents, _TIMESTEP, foreground, background, pose


@torch.no_grad()
def _predicted(model: DualModalDenoiser) -> Tensor:
    return model(*_inputs()).noise_pred_BMFCHW


def _trained(config: DualModalUNetConfig) -> DualModalDenoiser:
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(config)
    start_from_nothing(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return model


def test_a_model_without_one_gets_one_that_covers_next_to_nothing() -> None:
    plain = _trained(_config(matte=False))
    other = with_settings(plain, _config())
    before, after = _predicted(plain), _predicted(other)
    # Of the background's fine detail 1.8 % more is noise, and of depth's, which has none, nothing.
    fraction = signal_fraction(_TIMESTEP)
    share = 1 / (1 + math.exp(4)) * (fraction / (1 - fraction)).sqrt()
    fine = _inputs()[3].clone()
    fine[:, :48] = 0
    expected = torch.stack([share * fine, torch.zeros_like(fine)], dim=1)[:, :, None]
    torch.testing.assert_close(after - before, expected.expand_as(after), rtol=1e-3, atol=1e-5)


def test_it_learns_from_zero() -> None:
    model = DualModalDenoiser.from_config(_config())
    start_from_nothing(model)
    assert not model.unet.matte_conv.weight.any()
    model(*_inputs()).noise_pred_BMFCHW.square().mean().backward()
    gradient = model.unet.matte_conv.weight.grad
    assert gradient is not None
    assert gradient.abs().amin(dim=(1, 2, 3)).min() > 0


def test_every_stage_trains_it() -> None:
    for stage in ("pretrain", "image", "video", "distill"):
        assert is_trained("unet.matte_conv.weight", stage)


_PREDICTED = {"matte": True, "prediction": "change"}


def _of(channels: int) -> dict[str, Any]:
    ones = (1.0,) * channels
    return {"latent_channels": channels, "change_spread": ones, "far_latent": ones}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matte": True}, "matte=True covers the origin of prediction='change'"),
        ({**_PREDICTED, **_of(60)}, "latents of 60 channels are no patches"),
        ({**_PREDICTED, **_of(48)}, r"finer than patches of 4x4 have.*--patch 8"),
    ],
)
def test_only_what_has_fine_detail_has_one(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DualModalUNetConfig(**settings)
