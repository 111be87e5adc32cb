"""The paper's model (sec. 3.1, Fig. 2): a 2D diffusion model made joint over video and depth.

Read `config`, then `unet` and `controlnet`, then `blocks`, `transformer`, `resblock` and
`attention`; `layout` has the legend of the shapes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.config.checks import ConfigError as ConfigError
    from idol.config.model import DEPTH as DEPTH
    from idol.config.model import VIDEO as VIDEO
    from idol.config.model import DualModalUNetConfig as DualModalUNetConfig
    from idol.config.presets import preset as preset
    from idol.model.controlnet import ControlResiduals as ControlResiduals
    from idol.model.controlnet import PoseControlNet as PoseControlNet
    from idol.model.denoiser import DualModalDenoiser as DualModalDenoiser
    from idol.model.foreground import ForegroundProjection as ForegroundProjection
    from idol.model.layout import ClipLayout as ClipLayout
    from idol.model.pretrained import from_pretrained_2d as from_pretrained_2d
    from idol.model.saving import CheckpointError as CheckpointError
    from idol.model.stages import set_trainable as set_trainable
    from idol.model.stages import stage_config as stage_config
    from idol.model.unet import ConsistencyFeatures as ConsistencyFeatures
    from idol.model.unet import DenoiserOutput as DenoiserOutput
    from idol.model.unet import DualModalUNet as DualModalUNet

# Importing diffusers takes ten seconds and more, which a command's --help must not wait for.
_MODULE_OF = {
    "CheckpointError": "idol.model.saving",
    "ClipLayout": "idol.model.layout",
    "ConfigError": "idol.config.checks",
    "ConsistencyFeatures": "idol.model.unet",
    "ControlResiduals": "idol.model.controlnet",
    "DEPTH": "idol.config.model",
    "DenoiserOutput": "idol.model.unet",
    "DualModalDenoiser": "idol.model.denoiser",
    "DualModalUNet": "idol.model.unet",
    "DualModalUNetConfig": "idol.config.model",
    "ForegroundProjection": "idol.model.foreground",
    "PoseControlNet": "idol.model.controlnet",
    "VIDEO": "idol.config.model",
    "from_pretrained_2d": "idol.model.pretrained",
    "preset": "idol.config.presets",
    "set_trainable": "idol.model.stages",
    "stage_config": "idol.model.stages",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
