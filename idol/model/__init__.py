"""The paper's model (sec. 3.1, Fig. 2): a 2D diffusion model made joint over video and depth.

Read `idol.config.model`, then `unet` and `controlnet`, then `blocks`, `resblock` and `attention`;
`initial_weights` and `from_2d` say what it starts from, and `layout` has the legend of the shapes.
"""

from idol.config import ConfigError, DualModalUNetConfig, preset
from idol.config.model import DEPTH, VIDEO
from idol.model.controlnet import PoseControlNet
from idol.model.denoiser import DualModalDenoiser, ForegroundProjection
from idol.model.from_2d import from_pretrained_2d
from idol.model.layout import ClipLayout
from idol.model.saving import CheckpointError
from idol.model.stages import set_trainable, stage_config
from idol.model.unet import ConsistencyFeatures, DenoiserOutput, DualModalUNet

__all__ = [
    "DEPTH",
    "VIDEO",
    "CheckpointError",
    "ClipLayout",
    "ConfigError",
    "ConsistencyFeatures",
    "DenoiserOutput",
    "DualModalDenoiser",
    "DualModalUNet",
    "DualModalUNetConfig",
    "ForegroundProjection",
    "PoseControlNet",
    "from_pretrained_2d",
    "preset",
    "set_trainable",
    "stage_config",
]
