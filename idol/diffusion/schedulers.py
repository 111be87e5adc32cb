"""Samplers by name, all on the schedule that models are trained with."""

import inspect
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import AysSchedules
from diffusers.schedulers.scheduling_utils import SchedulerMixin  # pipelines look for it here

from idol.config.distill import Distilled
from idol.config.model import PresetName
from idol.config.sampling import CONSISTENCY, sampling_of
from idol.diffusion.schedule import BETAS, ddim_scheduler

__all__ = [
    "NAMES",
    "TEN_STEPS",
    "DPMSolver",
    "UniPC",
    "bound_of",
    "consistency_scheduler",
    "name_of",
    "own_scheduler",
    "scheduler_for",
    "takes_noise",
]

NAMES = ("ddim", "unipc", "dpm")

# "Align Your Steps" (Sabour et al., 2024), for the betas of Stable Diffusion.
TEN_STEPS: tuple[int, ...] = tuple(AysSchedules["StableDiffusionTimesteps"])

# From the last timestep on: few steps must not begin late.
_FEW_STEPS: dict[str, Any] = {**BETAS, "timestep_spacing": "linspace"}


class _TenSteps:
    """A solver of diffusers whose ten steps are the published ones."""

    sigmas: torch.Tensor
    timesteps: torch.Tensor
    alphas_cumprod: torch.Tensor

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        **options: Any,
    ) -> None:
        """As diffusers', but for ten steps."""
        super().set_timesteps(num_inference_steps, device, **options)  # type: ignore[misc]
        if num_inference_steps != len(TEN_STEPS) or options:
            return
        self.timesteps = torch.tensor(TEN_STEPS, device=device)
        signal = self.alphas_cumprod.cpu()[[*TEN_STEPS]]
        sigmas = ((1 - signal) / signal).sqrt().numpy()
        self.sigmas = torch.from_numpy(np.append(sigmas, self.sigmas[-1]).astype(np.float32))


class UniPC(_TenSteps, UniPCMultistepScheduler):
    """UniPC (Zhao et al., 2023); ten steps are those of "Align Your Steps"."""


class DPMSolver(_TenSteps, DPMSolverMultistepScheduler):
    """DPM-Solver++ (Lu et al., 2022); ten steps are those of "Align Your Steps"."""


def consistency_scheduler(distilled: Distilled, bound: float | None = None) -> LCMScheduler:
    """The multistep sampler of a distilled model: from noise to an answer, and to noise again.

    Its timesteps are of those that the student was asked at, the last one first: of 50 and 4 steps
    999, 759, 499 and 259.
    """
    return LCMScheduler(
        **BETAS,
        original_inference_steps=distilled.solver_steps,
        timestep_scaling=distilled.timestep_scaling,
        clip_sample=bound is not None,
        clip_sample_range=bound or 1.0,
    )


def own_scheduler(
    preset: PresetName, distilled: Distilled | None = None, bound: float | None = None
) -> SchedulerMixin:
    """What a model's folder has in `scheduler/`: a class of diffusers, which anybody can load."""
    if distilled is not None:
        return consistency_scheduler(distilled, bound)
    if sampling_of(preset).scheduler == "unipc":
        return UniPCMultistepScheduler(**_FEW_STEPS)
    return ddim_scheduler(bound)


def name_of(scheduler: object) -> str | None:
    """Which of `NAMES` a scheduler is; None if it is of another class."""
    kinds = (DDIMScheduler, UniPCMultistepScheduler, DPMSolverMultistepScheduler)
    found = zip(NAMES, kinds, strict=True)
    return next((name for name, kind in found if isinstance(scheduler, kind)), None)


def scheduler_for(
    name: str, steps: int, *, bound: float | None = None, distilled: Distilled | None = None
) -> SchedulerMixin:
    """A scheduler by its name, to be set to so many steps.

    `ddim` is the paper's way as we take it; `unipc` and `dpm` need few steps, and ten of theirs are
    the published ten-step schedule. Any other name is that of a class of diffusers, such as
    `EulerDiscreteScheduler`.

    Args:
        bound: what no value of a latent exceeds (`LatentCodec.bound`); those that keep latents
            within bounds, such as `ddim` and `lcm`, keep them within it.
        distilled: what a model says that `lcm` is for.

    Raises:
        ValueError: there is no such scheduler, or it is none of noise predictions.
    """
    if name == "ddim":
        whole = steps == BETAS["num_train_timesteps"]
        return ddim_scheduler(bound, spacing="trailing" if whole else "leading")
    if name == CONSISTENCY and distilled is not None:
        return consistency_scheduler(distilled, bound)
    if name in NAMES:
        return (UniPC if name == "unipc" else DPMSolver)(**_FEW_STEPS)
    found: Any = getattr(diffusers, name, None)
    if not inspect.isclass(found) or SchedulerMixin not in found.mro():
        raise ValueError(
            f"there is no scheduler {name!r}: take {', '.join(NAMES)}, or the name of a class of "
            "diffusers, such as EulerDiscreteScheduler"
        )
    known = inspect.signature(found).parameters.keys()
    if not BETAS.keys() <= known:
        raise ValueError(f"{name} is not for models that predict the noise, as this one does")
    bounds = {"clip_sample": bound is not None, "clip_sample_range": bound or 1.0}
    return found(**BETAS, **{key: value for key, value in bounds.items() if key in known})


def bound_of(scheduler: Any) -> float | None:
    """What a scheduler keeps the latents that it predicts within; None if within nothing."""
    known = "clip_sample" in inspect.signature(type(scheduler)).parameters
    if not known or not scheduler.config.get("clip_sample"):
        return None
    return float(scheduler.config.get("clip_sample_range", 1.0))


def takes_noise(scheduler: Any) -> bool:
    """Whether a scheduler is for predictions of the noise, as our models make them.

    What a scheduler does not know it keeps in its configuration all the same.
    """
    known = "prediction_type" in inspect.signature(type(scheduler)).parameters
    return known and scheduler.config.get("prediction_type") == "epsilon"
