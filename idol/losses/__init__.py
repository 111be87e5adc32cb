"""The losses, Eq. 2-7: `objective` is the whole, `motion` and `cross_attention` its new terms.

`literal` has Eq. 3-6 as printed; `blockwise` computes the same without the big tensors.
"""

from idol.config import LossConfig
from idol.losses.cross_attention import cross_attention_consistency
from idol.losses.motion import motion_consistency
from idol.losses.objective import (
    Losses,
    denoising_losses,
    feature_gradient_norms,
    training_losses,
)

__all__ = [
    "LossConfig",
    "Losses",
    "cross_attention_consistency",
    "denoising_losses",
    "feature_gradient_norms",
    "motion_consistency",
    "training_losses",
]
