"""Weights and switches of the objective, as plain values: importing them loads no library."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

MotionReduction = Literal["mean", "sum_targets"]
DenoiseError = Literal["noise", "v"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights and switches of Eq. 7; the defaults are the paper's (appendix B).

    Attributes:
        motion_weight, cross_attention_weight: w_mo and w_xattn; 0 leaves the loss out.
        motion_reduction: literal mean over targets, or their sum.
        average_heads: compare cross-attention maps averaged over heads.
        denoise_error: what Eq. 2 is the error of: the noise (the paper), or v (Salimans and Ho,
            2022), whose errors count alike at all timesteps. For models that start from nothing:
            of the noise, late timesteps leave errors so small that they would hardly be learnt.

    Raises:
        ValueError: a weight is negative or not finite.
    """

    motion_weight: float = 0.01
    cross_attention_weight: float = 0.01
    motion_reduction: MotionReduction = "mean"
    average_heads: bool = False
    denoise_error: DenoiseError = "noise"

    def __post_init__(self) -> None:
        for name in ("motion_weight", "cross_attention_weight"):
            weight = getattr(self, name)
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"{name}={weight} must be a number from 0 on")
