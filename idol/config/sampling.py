"""How a model is sampled unless told otherwise: by a solver, or if distilled by its own steps."""

from __future__ import annotations

from typing import NamedTuple

from idol.config.checks import ConfigError
from idol.config.distill import Distilled

__all__ = ["CONSISTENCY", "Sampling", "sampling_of"]

CONSISTENCY = "lcm"
"""The scheduler of distilled models."""

_FEW_STEPS = 10


class Sampling(NamedTuple):
    """A scheduler by its name, denoising steps, and weight of the foreground."""

    scheduler: str
    steps: int
    guidance: float


def sampling_of(
    distilled: Distilled | None,
    *,
    scheduler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
) -> Sampling:
    """What is asked for, and else the model's own.

    That is 50 steps of DDIM, or 10 of another scheduler, with a guidance of 1.5. A distilled model
    has guidance in it: 4 steps of its scheduler, without.

    Raises:
        ConfigError: the model cannot be sampled so; the message says why.
    """
    if distilled is None:
        if scheduler == CONSISTENCY:
            raise ConfigError(
                f"--scheduler {CONSISTENCY} is for models of idol-train --stage distill, and this "
                "is none: take ddim, unipc or dpm"
            )
        scheduler = scheduler or "ddim"
        usual = 50 if scheduler == "ddim" else _FEW_STEPS
        return Sampling(scheduler, steps or usual, 1.5 if guidance is None else guidance)
    mistakes = []
    if scheduler not in (None, CONSISTENCY):
        mistakes.append(f"it is sampled by --scheduler {CONSISTENCY}, not {scheduler}")
    if guidance not in (None, 1):
        mistakes.append(
            f"it has a guidance of {distilled.guidance:g} in it: leave out --guidance {guidance:g}"
        )
    if (steps or 1) > distilled.solver_steps:
        mistakes.append(f"--steps must be at most {distilled.solver_steps}, not {steps}")
    ConfigError.raise_if_any(mistakes, "this model was distilled")
    return Sampling(CONSISTENCY, steps or 4, 1.0)
