"""Sampling: the guided prediction and the DDIM loop. Shape suffixes: see `idol.model.layout`."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from diffusers import DDIMParallelScheduler, DDIMScheduler, PNDMScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor

from idol.config.model import DEPTH, VIDEO
from idol.diffusion.conditions import Conditions
from idol.diffusion.schedule import ddim_scheduler

__all__ = ["Denoiser", "guided_noise", "predict", "sample", "set_timesteps", "step_options"]


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
        conditions.place,
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
    apart: bool = False,
) -> Tensor:
    """Predict the noise, amplified away from what the denoiser says without the foreground.

    `without + guidance * (with - without)` in float32, from one forward of 2B clips; pose and
    background stay in both halves. With a guidance of 1 that is the plain prediction, of B.

    Args:
        apart: two forwards of B clips instead: half the memory, and the same but for rounding.
    """

    def noise(latents: Tensor, timesteps: Tensor, given: Conditions) -> Tensor:
        output = predict(denoiser, latents, timesteps, given, modalities=modalities)
        return output.noise_pred_BMFCHW.float()

    if guidance == 1:
        return noise(latents_BMFCHW, timesteps_B, conditions)
    if apart:
        without = noise(latents_BMFCHW, timesteps_B, conditions.without_foreground())
        with_foreground = noise(latents_BMFCHW, timesteps_B, conditions)
    else:
        both = conditions.with_unconditional()
        without, with_foreground = noise(_twice(latents_BMFCHW), _twice(timesteps_B), both).chunk(2)
    return without + guidance * (with_foreground - without)


def _twice(x_B: Tensor) -> Tensor:
    return torch.cat([x_B, x_B])


# The paper does not say how it samples; 50 steps and a guidance of 1.5 are ours.
@torch.no_grad()
def sample(
    denoiser: Denoiser,
    conditions: Conditions,
    noise_BMFCHW: Tensor,
    *,
    modalities: tuple[int, ...] = (VIDEO, DEPTH),
    scheduler: SchedulerMixin | None = None,
    steps: int = 50,
    guidance: float = 1.5,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Turn noise into latents that fit the conditions.

    The result is a function of the arguments alone. Between steps the latents are float32,
    whatever the denoiser computes in.

    Args:
        denoiser: `DualModalDenoiser`, in the mode it is to run in.
        conditions: of B clips, on the noise's device.
        noise_BMFCHW: standard normal, in the dtype that the denoiser takes.
        modalities: the label of each of the M streams; `(VIDEO,)` for video alone.
        scheduler: `ddim_scheduler()` unless given, which keeps latents within no bound; its
            timesteps are set.
        steps: forwards of the denoiser, 1 to 1000.
        guidance: weight of the foreground image; 1 is none, and half the work.
        eta: 0 is DDIM; up to 1, noise from `generator` is added at each step.
        generator: where the noise of `eta` comes from, and that of a distilled model's steps.
        on_step: called after each step with its number, from 0, and the latents so far.

    Returns:
        Latents as the codec scales them, shaped like the noise and in its dtype.

    Raises:
        ValueError: `steps` is not 1 to 1000 or does not fit the scheduler's spacing, or `eta` is
            above 0 without a generator.
    """
    scheduler = scheduler or ddim_scheduler()
    if not 1 <= steps <= scheduler.config.num_train_timesteps:
        raise ValueError(f"steps={steps} must be 1 to {scheduler.config.num_train_timesteps}")
    if eta > 0 and generator is None:
        raise ValueError(f"eta={eta} adds noise at each step: give a generator to draw it from")
    set_timesteps(scheduler, steps)
    options = step_options(scheduler, generator, eta)
    latents_BMFCHW = noise_BMFCHW.float()
    for number, timestep in enumerate(scheduler.timesteps.tolist()):
        noise_pred = guided_noise(
            denoiser,
            latents_BMFCHW.to(noise_BMFCHW.dtype),
            torch.full((len(noise_BMFCHW),), timestep, device=noise_BMFCHW.device),
            conditions,
            guidance=guidance,
            modalities=modalities,
        )
        latents_BMFCHW = scheduler.step(noise_pred, timestep, latents_BMFCHW, **options)[0]
        if on_step is not None:
            on_step(number, latents_BMFCHW)
    return latents_BMFCHW.to(noise_BMFCHW.dtype)


def step_options(scheduler: SchedulerMixin, generator: Any, eta: float) -> dict[str, Any]:
    """Of these settings those that the scheduler's step takes."""
    taken = inspect.signature(scheduler.step).parameters
    options = {
        "eta": eta,
        "generator": generator,
        # The noise that fits the bounded latents, lest the two add up to something else.
        "use_clipped_model_output": bool(scheduler.config.get("clip_sample")),
    }
    return {name: value for name, value in options.items() if name in taken}


def set_timesteps(
    scheduler: SchedulerMixin, steps: int, device: torch.device | str | None = None
) -> None:
    """Set a scheduler's timesteps. Raises ValueError for those that it would not step through."""
    scheduler.set_timesteps(steps, device=device)
    timesteps, trained = scheduler.timesteps.tolist(), scheduler.config.num_train_timesteps
    if timesteps[0] >= trained:
        raise ValueError(
            f"steps={steps} would begin at timestep {timesteps[0]}, and {trained - 1} is the last: "
            "take fewer, or spacing trailing"
        )
    if isinstance(scheduler, PNDMScheduler):  # between which it asks more than once
        timesteps = scheduler._timesteps[::-1].tolist()
    elif not isinstance(scheduler, DDIMScheduler | DDIMParallelScheduler):
        return
    # A step leads `trained // steps` down, whatever timestep comes next.
    apart = {a - b for a, b in itertools.pairwise(timesteps)}
    if len(timesteps) == steps and apart <= {trained // steps}:
        return
    spacing = scheduler.config.timestep_spacing
    if spacing == "trailing":
        raise ValueError(f"steps={steps} must divide {trained} with spacing trailing")
    raise ValueError(
        f"each of {steps} steps leads {trained // steps} timesteps down, and with spacing "
        f"{spacing} they lie otherwise: give timestep_spacing='leading'"
    )
