"""Weights and switches of the objective, as plain values: importing them loads no library."""

from __future__ import annotations

import dataclasses
from typing import Literal

MotionReduction = Literal["mean", "sum_targets"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights and switches of Eq. 7; the defaults are the paper's (appendix B).

    Attributes:
        motion_weight, cross_attention_weight: w_mo and w_xattn; 0 leaves the loss out.
        motion_reduction: literal mean over targets, or their sum.
        average_heads: compare cross-attention maps averaged over heads.

    Raises:
        ValueError: a weight is negative.
    """

    motion_weight: float = 0.01
    cross_attention_weight: float = 0.01
    motion_reduction: MotionReduction = "mean"
    average_heads: bool = False

    def __post_init__(self) -> None:
        for name in ("motion_weight", "cross_attention_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
