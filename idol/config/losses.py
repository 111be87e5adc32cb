"""Weights and switches of the objective."""

import dataclasses
from typing import Annotated, Literal

from idol.config.checks import NOT_NEGATIVE, ConfigError, mistakes_in

__all__ = ["DenoiseError", "LossConfig", "MotionDivisor", "MotionReduction"]

MotionReduction = Literal["mean", "sum_targets"]
MotionDivisor = Literal["pairs", "frames"]
DenoiseError = Literal["noise", "v", "change"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights and switches of Eq. 7; the defaults are the paper's (appendix B).

    Attributes:
        motion_weight: w_mo, of the motion consistency loss; 0 leaves it out.
        cross_attention_weight: w_xattn, of the cross-attention consistency loss; 0 leaves it out.
        motion_reduction: Eq. 5's mean over targets, or their sum.
        motion_divisor: mean over a clip's L - 1 frame pairs, or their sum divided by its L frames,
            as Eq. 5 is printed.
        average_heads: compare cross-attention maps averaged over heads.
        denoise_error: what Eq. 2 is the error of: the noise (the paper), v (Salimans and Ho,
            2022), or the clean latents (`change`), whose errors count alike at all timesteps. For
            models that start from nothing: of the noise, late timesteps leave errors so small that
            they would hardly be learnt.
        huber: c of the pseudo-Huber error of each latent pixel, in units of a latent: with m its
            squared error, the mean over channels, 2 c (sqrt(m + c^2) - c) counts, about m where
            that is below c^2 and 2 c sqrt(m) far beyond. So what cannot be known is learnt as what
            mostly is, sharp, rather than as the mean of all that may be (Charbonnier et al., 1997;
            Song and Dhariwal, 2023). 0: squared errors, the paper's.
        huber_depth: the same c for the stream of depth, if it is to be another.

    Raises:
        ConfigError: naming every weight that is negative or not finite, and every unknown choice.
    """

    motion_weight: Annotated[float, NOT_NEGATIVE] = 0.01
    cross_attention_weight: Annotated[float, NOT_NEGATIVE] = 0.01
    motion_reduction: MotionReduction = "mean"
    motion_divisor: MotionDivisor = "pairs"
    average_heads: bool = False
    denoise_error: DenoiseError = "noise"
    huber: Annotated[float, NOT_NEGATIVE] = 0.0
    huber_depth: Annotated[float | None, NOT_NEGATIVE] = None

    def __post_init__(self) -> None:
        if mistakes := [f"{name} {fault}" for name, fault in mistakes_in(self)]:
            raise ConfigError("; ".join(mistakes))

    @property
    def hubers(self) -> tuple[float, float]:
        """c of the error of video, and of that of depth."""
        return self.huber, self.huber if self.huber_depth is None else self.huber_depth

    @property
    def compares(self) -> bool:
        """Whether a consistency loss counts, so that the model's features are needed."""
        return self.motion_weight > 0 or self.cross_attention_weight > 0
