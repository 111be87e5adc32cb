"""Tab. 3: AnimateDiff's motion modules in place of our temporal layers.

"We remove the original temporal convolutional and attention layers in the 3D U-Net, and insert the
AnimateDiff pre-trained motion modules" (appendix B). A module follows each unit, at every level, in
the U-Net alone; the ControlNet is left without temporal layers (we). Of the layers that the motion
loss compares, the features are what the modules give (we).

Weights are read from a folder of diffusers' `MotionAdapter`. The modules' output projections are
not zero, so a model does not start as its base on each frame: so their authors have it.
Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, cast

from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from idol.config.checks import ConfigError
from idol.config.model import DualModalUNetConfig
from idol.model.controlnet import PoseControlNet
from idol.model.denoiser import DualModalDenoiser, ForegroundProjection, Parts
from idol.model.from_2d import read_weights
from idol.model.layout import ClipLayout
from idol.model.resblock import ResBlock
from idol.model.saving import raise_if_different
from idol.model.unet import DualModalUNet

__all__ = ["AnimateDiffDenoiser", "MotionModule", "MotionUNet", "load_motion_adapter"]

_PREFIX = ".motion_modules."


class MotionModule(AnimateDiffTransformer3D):
    """Attention over the frames of each modality's clip, twice, and a feed-forward; a residual."""

    def __init__(self, channels: int, config: DualModalUNetConfig) -> None:
        super().__init__(
            num_attention_heads=config.attention_heads,
            attention_head_dim=channels // config.attention_heads,
            in_channels=channels,
            norm_num_groups=config.norm_groups,
            positional_embeddings="sinusoidal",
            num_positional_embeddings=config.motion_frames,
        )

    def forward(self, x_NCHW: Tensor, layout: ClipLayout) -> Tensor:
        """(N, C, H, W) to the same shape."""
        mixed: Tensor = super().forward(x_NCHW, num_frames=layout.frames)
        return mixed


class MotionUNet(DualModalUNet):
    """The U-Net with a motion module after each unit; without any in the one-frame stages."""

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        if not config.temporal_layers:
            return
        for block in chain(self.down_blocks, self.up_blocks):
            units = block.get_submodule("resnets").children()
            block.motion_modules = nn.ModuleList(
                MotionModule(cast(ResBlock, unit).out_channels, config) for unit in units
            )
        if config.motion_mid_block:
            self.mid_block.motion_modules = nn.ModuleList(
                [MotionModule(config.block_out_channels[-1], config)]
            )


class AnimateDiffDenoiser(DualModalDenoiser):
    """The model with motion modules."""

    part_classes: ClassVar[Parts] = Parts(MotionUNet, PoseControlNet, ForegroundProjection)


def load_motion_adapter(denoiser: DualModalDenoiser, folder: Path) -> None:
    """Copy the modules in a folder of diffusers' `MotionAdapter` into the U-Net's.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        ConfigError: the folder holds modules of another shape.
        CheckpointError: its weights are not exactly those of the modules.
    """
    _check(folder / "config.json", denoiser.settings)
    weights = read_weights(folder, "diffusion_pytorch_model")
    own = {key for key in denoiser.unet.state_dict() if _PREFIX in key}
    raise_if_different(
        "the U-Net's motion modules",
        str(folder),
        missing=sorted(own - weights.keys()),
        extra=sorted(weights.keys() - own),
    )
    denoiser.unet.load_state_dict(weights, strict=False)


def _check(path: Path, config: DualModalUNetConfig) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: --motion-adapter takes a folder of diffusers' MotionAdapter"
        )
    found: dict[str, Any] = json.loads(path.read_text())
    wanted = {
        "_class_name": "MotionAdapter",
        "block_out_channels": list(config.block_out_channels),
        "motion_layers_per_block": config.layers_per_block,
        "motion_transformer_layers_per_block": 1,
        "motion_num_attention_heads": config.attention_heads,
        "motion_norm_num_groups": config.norm_groups,
        "motion_max_seq_length": config.motion_frames,
        "use_motion_mid_block": config.motion_mid_block,
        "conv_in_channels": None,
    }
    differing = [
        f"{key} is {found[key]!r}, and the model's {value!r}"
        for key, value in wanted.items()
        if key in found and found[key] != value
    ]
    if differing:
        raise ConfigError(
            f"{path} does not fit: {'; '.join(differing)} (--model.motion-frames and "
            "--model.motion-mid-block are the model's to set)"
        )
