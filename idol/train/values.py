"""What a step of training reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["StepReport"]


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step, as logs and displays see it.

    Attributes:
        step: of this stage, counted from 1: the number of steps done with this one.
        steps: of the stage in all.
        losses: `total`, `denoise_video`, `denoise_depth`, `motion`, `cross_attention`, and where
            they were measured `gradient_motion`, `gradient_cross_attention`: norms of the
            consistency losses' gradients at the features they compare.
        learning_rate: of this step.
        gradient_norm: of all parameters, before clipping.
        images_per_second: frames of one modality, over all processes.
        memory_bytes: the most that was held on this process's accelerator, or None.
        seconds_left: of the stage, as estimated; 0 while it cannot be.
        skipped_steps: steps so far whose loss or gradient was not finite.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    memory_bytes: int | None
    seconds_left: float
    skipped_steps: int
