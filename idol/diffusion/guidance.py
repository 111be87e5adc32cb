"""One prediction of the noise, and the guided one. Shape suffixes: see `idol.model.layout`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from idol.config.model import DEPTH, VIDEO
from idol.diffusion.conditions import Conditions

__all__ = ["Denoiser", "guided_noise", "predict"]


class NoisePrediction(Protocol):
    """What a denoiser returns, such as `idol.model.DenoiserOutput`."""

    @property
    def noise_pred_BMFCHW(self) -> Tensor: ...


# `DualModalDenoiser`, wrapped or compiled or not.
Denoiser = Callable[..., NoisePrediction]

_Output = TypeVar("_Output", bound=NoisePrediction)


def predict(
    denoiser: Callable[..., _Output],
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    conditions: Conditions,
    *,
    modalities: tuple[int, ...] = (VIDEO, DEPTH),
    return_features: bool = False,
) -> _Output:
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


# Classifier-free guidance on the foreground image, of which the paper says nothing.
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
        conditions.with_unconditional(),
        modalities=modalities,
    )
    without, with_foreground = output.noise_pred_BMFCHW.float().chunk(2)
    return without + guidance * (with_foreground - without)


def _twice(x_B: Tensor) -> Tensor:
    return torch.cat([x_B, x_B])
