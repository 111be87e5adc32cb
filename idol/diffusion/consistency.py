"""Consistency functions and the step of the teacher's solver (Luo et al., 2023; Song et al., 2023).

Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from idol.config.model import TIMESTEPS
from idol.diffusion.schedule import ddim_scheduler, signal_fraction

__all__ = ["clean_latents", "consistent", "solver_step", "solver_timesteps"]

_SIGMA_DATA = 0.5  # of diffusers' LCMScheduler, which has no setting for it


def solver_timesteps(index_B: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """From and to which timestep the solver's step number `index`, from 0 on, leads.

    With `steps` of 50: 0 leads from 19 to 0, 1 from 39 to 19, ..., 49 from 999 to 979.
    """
    apart = TIMESTEPS // steps
    return (index_B + 1) * apart - 1, (index_B * apart - 1).clamp(min=0)


def clean_latents(
    noise_BMFCHW: Tensor, latents_BMFCHW: Tensor, timesteps_B: Tensor, bound: float | None = None
) -> Tensor:
    """The z_0 that a noise in z_t leaves, float32; within `bound` if there is one."""
    fraction = _broadcast(signal_fraction(timesteps_B))
    noise = noise_BMFCHW.float()
    clean = (latents_BMFCHW.float() - (1 - fraction).sqrt() * noise) / fraction.sqrt()
    return clean if bound is None else clean.clamp(-bound, bound)


# f(z, t) = c_skip(t) z + c_out(t) z_0, which is z itself at timestep 0, whatever is predicted.
def consistent(
    clean_BMFCHW: Tensor, latents_BMFCHW: Tensor, timesteps_B: Tensor, scaling: float
) -> Tensor:
    """What a consistency model says of noisy latents, from its prediction of clean ones."""
    scaled = timesteps_B.float() * scaling
    variance = scaled.square() + _SIGMA_DATA**2
    skip, out = _SIGMA_DATA**2 / variance, scaled / variance.sqrt()
    return _broadcast(skip) * latents_BMFCHW.float() + _broadcast(out) * clean_BMFCHW


# The teacher's step along its path from noise to picture: DDIM, without noise of its own.
def solver_step(
    noise_BMFCHW: Tensor,
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    next_B: Tensor,
    bound: float | None = None,
) -> Tensor:
    """Latents at timestep `next` from those at `timesteps`, as `ddim_scheduler(bound)` has them.

    Where there is a bound, timestep 0 is the end of the path, and has no noise at all.
    """
    fraction = _broadcast(signal_fraction(timesteps_B))
    latents = latents_BMFCHW.float()
    clean = clean_latents(noise_BMFCHW, latents, timesteps_B, bound)
    # The noise that fits the bounded latents, lest the two add up to something else.
    noise = (latents - fraction.sqrt() * clean) / (1 - fraction).sqrt()
    end = ddim_scheduler(bound).final_alpha_cumprod.to(latents)
    after = _broadcast(torch.where(next_B == 0, end, signal_fraction(next_B)))
    return after.sqrt() * clean + (1 - after).sqrt() * noise


def _broadcast(x_B: Tensor) -> Tensor:
    return x_B[:, None, None, None, None, None]
