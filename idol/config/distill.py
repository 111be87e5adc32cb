"""Settings of stage distill, and what a distilled model says of itself."""

import dataclasses
from typing import Annotated, Literal

from idol.config.checks import NOT_NEGATIVE, POSITIVE, ConfigError, at_least, mistakes_in
from idol.config.model import TIMESTEPS

__all__ = ["DistillConfig", "Distilled"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """How a student learns a teacher's steps (Luo et al., 2023, "Latent Consistency Models").

    Attributes:
        guidance: the teacher's, folded into the student, which then runs without; one number, which
            the student is not told.
        solver_steps: DDIM steps of the teacher from noise to picture; a step of the student's
            training takes one of them. Divides 1000.
        error: distance of two predictions of the clean latents: pseudo-Huber, or the mean square.
        huber: where pseudo-Huber turns from a square to a straight line.
        timestep_scaling: how soon after timestep 0 the student's own prediction counts whole.

    Raises:
        ConfigError: naming every mistake.
    """

    guidance: Annotated[float, NOT_NEGATIVE] = 1.5
    solver_steps: Annotated[int, at_least(2, TIMESTEPS)] = 50
    error: Literal["huber", "l2"] = "huber"
    huber: Annotated[float, POSITIVE] = 1e-3
    timestep_scaling: Annotated[float, POSITIVE] = 10.0

    def __post_init__(self) -> None:
        mistakes = [f"--distill.{n.replace('_', '-')} {fault}" for n, fault in mistakes_in(self)]
        if not mistakes and TIMESTEPS % self.solver_steps:
            mistakes.append(f"--distill.solver-steps must divide {TIMESTEPS}")
        if mistakes:
            raise ConfigError("; ".join(mistakes))

    @property
    def told(self) -> "Distilled":
        """What the student's folder says."""
        return Distilled(
            guidance=self.guidance,
            solver_steps=self.solver_steps,
            timestep_scaling=self.timestep_scaling,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distilled:
    """What sampling needs to know of a student; as in `DistillConfig`."""

    guidance: float
    solver_steps: int
    timestep_scaling: float
