"""How a model is sampled unless told otherwise: by a solver, or if distilled by its own steps."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from idol.config.checks import ConfigError, Range, at_least
from idol.config.distill import Distilled
from idol.config.model import TIMESTEPS, PresetName

__all__ = [
    "CONSISTENCY",
    "Guidance",
    "SamplerName",
    "Sampling",
    "Steps",
    "Temperature",
    "sampling_of",
]

CONSISTENCY = "lcm"
"""The scheduler of distilled models."""


# Options of all commands that generate; None is the model's own. Beyond the largest factors nothing
# is seen in the images any more, and far beyond numbers are not finite.
_FACTOR = Range(0, 100)
SamplerName = Literal["ddim", "unipc", "dpm", "lcm"]
Steps = Annotated[int | None, at_least(1, TIMESTEPS)]
Guidance = Annotated[float | None, _FACTOR]
Temperature = Annotated[float, _FACTOR]


class Sampling(NamedTuple):
    """A scheduler by its name, denoising steps, and weight of the foreground."""

    scheduler: str
    steps: int
    guidance: float


# For the paper's model; and for preset tiny, which sees at once what it can, and with more steps
# adds up its errors (docs/laptop-model.md, Sampling).
_OWN = {"sd14": Sampling("ddim", 50, 1.5), "tiny": Sampling("unipc", 2, 1.0)}
_OF_POSED = 1  # step of tiny, which is given most of the picture (A posed foreground)
_MANY_STEPS = 50  # of ddim
_FEW_STEPS = {"sd14": 10, "tiny": 2}  # of the others


def sampling_of(
    preset: PresetName,
    distilled: Distilled | None = None,
    *,
    scheduler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    posed: bool = False,
) -> Sampling:
    """What is asked for, and else the model's own.

    That is 50 steps of DDIM with a guidance of 1.5, and for preset tiny 2 steps of UniPC without
    guidance. Of DDIM, where it is asked for, preset tiny takes 50 steps too; of other schedulers
    sd14 takes 10, and tiny 2, or 1 with a `posed` foreground. A distilled model has guidance in it:
    4 steps of its scheduler, or as many as it can.

    Raises:
        ConfigError: the model cannot be sampled so; the message says why.
    """
    if distilled is None:
        if scheduler == CONSISTENCY:
            raise ConfigError(
                f"--scheduler {CONSISTENCY} is for models of idol-train --stage distill, and this "
                "is none: take ddim, unipc or dpm"
            )
        own = _OWN[preset]
        scheduler = scheduler or own.scheduler
        few = _OF_POSED if posed and preset == "tiny" else _FEW_STEPS[preset]
        usual = _MANY_STEPS if scheduler == "ddim" else few
        return Sampling(scheduler, steps or usual, own.guidance if guidance is None else guidance)
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
    return Sampling(CONSISTENCY, steps or min(4, distilled.solver_steps), 1.0)
