"""The losses, Eq. 2-7: `objective` is the whole, `motion` and `cross_attention` its new terms.

`literal` has Eq. 3-6 as printed; `blockwise` computes the same without the big tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.config.losses import LossConfig as LossConfig
    from idol.losses.cross_attention import (
        cross_attention_consistency as cross_attention_consistency,
    )
    from idol.losses.motion import motion_consistency as motion_consistency
    from idol.losses.objective import Losses as Losses
    from idol.losses.objective import denoising_losses as denoising_losses
    from idol.losses.objective import feature_gradient_norms as feature_gradient_norms
    from idol.losses.objective import training_losses as training_losses

# Importing torch takes seconds, which a command's --help must not wait for.
_MODULE_OF = {
    "LossConfig": "idol.config.losses",
    "Losses": "idol.losses.objective",
    "cross_attention_consistency": "idol.losses.cross_attention",
    "denoising_losses": "idol.losses.objective",
    "feature_gradient_norms": "idol.losses.objective",
    "motion_consistency": "idol.losses.motion",
    "training_losses": "idol.losses.objective",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
