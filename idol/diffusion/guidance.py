"""One prediction of the noise, and the guided one. Shape suffixes: see `idol.model.layout`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from idol.data.conditions import Conditions
from idol.model.layout import DEPTH, VIDEO
from idol.model.unet import DenoiserOutput

# `DualModalDenoiser`, wrapped or compiled or not.
Denoiser = Callable[..., DenoiserOutput]


def predict(
    denoiser: Denoiser,
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    conditions: Conditions,
    *,
    modalities: tuple[int, ...] = (VIDEO, DEPTH),
    return_features: bool = False,
) -> DenoiserOutput:
    """Call the denoiser with a batch's conditions; arguments as for `DualModalDenoiser`."""
    return denoiser(
        latents_BMFCHW,
        timesteps_B,
        conditions.encoded_foreground_BTD,
        conditions.background_BCHW,
        conditions.pose_BFCHW,
        modalities=modalities,
        return_features=return_features,
    )


# Classifier-free guidance on the foreground picture, of which the paper says nothing.
def guided_noise(
    denoiser: Denoiser,
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    conditions: Conditions,
    *,
    guidance: float,
    modalities: tuple[int, ...] = (VIDEO, DEPTH),
) -> Tensor:
    """Predict the noise, amplified away from what the denoiser says without the foreground.

    `without + guidance * (with - without)` in float32, from one forward of 2B clips; pose and
    background stay in both halves. With a guidance of 1 that is the plain prediction, of B.
    """
    if guidance == 1:
        output = predict(denoiser, latents_BMFCHW, timesteps_B, conditions, modalities=modalities)
        return output.noise_pred_BMFCHW.float()
    output = predict(
        denoiser,
        _twice(latents_BMFCHW),
        _twice(timesteps_B),
        _without_and_with(conditions),
        modalities=modalities,
    )
    without, with_foreground = output.noise_pred_BMFCHW.float().chunk(2)
    return without + guidance * (with_foreground - without)


def _without_and_with(conditions: Conditions) -> Conditions:
    """2B clips: all without their foreground, then all with it."""
    dropped = conditions.without_foreground()
    pose_BFCHW = conditions.pose_BFCHW
    return Conditions(
        torch.cat([dropped.encoded_foreground_BTD, conditions.encoded_foreground_BTD]),
        _twice(conditions.background_BCHW),
        None if pose_BFCHW is None else _twice(pose_BFCHW),
    )


def _twice(x_B: Tensor) -> Tensor:
    return torch.cat([x_B, x_B])
