"""Tab. 3: a T2I-Adapter for the pose in place of the ControlNet.

It sees the drawn skeleton itself, not its latent, and neither the noise nor the timestep; what it
makes of each level is added inside the U-Net's down block of that level, to both streams alike:
"the video and depth streams share the same pose T2I-Adapter" (appendix B). Before the cross-modal
attention at the block's end (we). Weights are read from a folder of diffusers' `T2IAdapter`.
Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from diffusers.models.adapter import FullAdapter
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor

from idol.config.checks import ConfigError
from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.controlnet import ControlResiduals
from idol.model.denoiser import DualModalDenoiser, ForegroundProjection, Parts
from idol.model.from_2d import read_weights
from idol.model.layout import ClipLayout
from idol.model.saving import ConfiguredModel, raise_if_different
from idol.model.unet import DualModalUNet
from idol.variants.animatediff import MotionUNet

__all__ = ["AdapterDenoiser", "AnimateDiffAdapterDenoiser", "PoseAdapter", "load_pose_adapter"]

_BLOCKS = 2  # of a level, in all T2I-Adapters for Stable Diffusion


class PoseAdapter(ConfiguredModel):
    """A T2I-Adapter that stands where the ControlNet does; its parameters have diffusers' names."""

    _supports_gradient_checkpointing = True

    def enable_gradient_checkpointing(self, *_: Any) -> None:
        """Recompute nothing: the adapter is small, and diffusers' own keeps all of its layers."""

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        channels = list(config.block_out_channels)
        self.adapter = FullAdapter(3, channels, _BLOCKS, config.pose_downscale)

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        pose_BFCHW: Tensor,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
    ) -> ControlResiduals:
        """What the pose adds inside each down block.

        Args:
            latents_BMFCHW: tells the number of streams alone; timesteps and foreground nothing.
            pose_BFCHW: the drawn skeletons, (B, F, 3, H, W) in [-1, 1], of the frames' size.

        Raises:
            ValueError: the skeletons are not one for each frame, or of another size.
        """
        clips, streams, frames, _, height, width = latents_BMFCHW.shape
        scale = self.settings.pose_downscale
        wanted = (clips, frames, 3, height * scale, width * scale)
        if tuple(pose_BFCHW.shape) != wanted:
            raise ValueError(f"pose images must be {wanted}, not {tuple(pose_BFCHW.shape)}")
        layout = ClipLayout(clips, streams, frames)
        levels = self.adapter(pose_BFCHW.flatten(0, 1) / 2 + 0.5)
        return ControlResiduals(
            within=[layout.per_frame(level.unflatten(0, (clips, frames))) for level in levels]
        )

    def compile_repeated_blocks(self, **options: Any) -> None:
        """Run the adapter through `torch.compile`."""
        self.adapter.compile(**options)


class AdapterDenoiser(DualModalDenoiser):
    """The model with a T2I-Adapter."""

    part_classes: ClassVar[Parts] = Parts(DualModalUNet, PoseAdapter, ForegroundProjection)


class AnimateDiffAdapterDenoiser(DualModalDenoiser):
    """The model with a T2I-Adapter and AnimateDiff's motion modules: the table's last row."""

    part_classes: ClassVar[Parts] = Parts(MotionUNet, PoseAdapter, ForegroundProjection)


def load_pose_adapter(denoiser: DualModalDenoiser, folder: Path) -> None:
    """Copy a folder of diffusers' `T2IAdapter` into the model's.

    Raises:
        FileNotFoundError: a file is missing; the message names it.
        ConfigError: the folder holds an adapter of another shape.
        CheckpointError: its weights are not exactly those of the adapter.
    """
    path, config = folder / "config.json", denoiser.settings
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: --pose-adapter takes a folder of diffusers' T2IAdapter"
        )
    found: dict[str, Any] = json.loads(path.read_text())
    wanted = {
        "_class_name": "T2IAdapter",
        "adapter_type": "full_adapter",
        "in_channels": 3,
        "channels": list(config.block_out_channels),
        "num_res_blocks": _BLOCKS,
        "downscale_factor": config.pose_downscale,
    }
    differing = [
        f"{key} is {found[key]!r}, and the model's {value!r}"
        for key, value in wanted.items()
        if key in found and found[key] != value
    ]
    if differing:
        raise ConfigError(f"{path} does not fit: {'; '.join(differing)}")
    weights = read_weights(folder, "diffusion_pytorch_model")
    own = denoiser.controlnet.state_dict()
    raise_if_different(
        "the pose adapter",
        str(folder),
        missing=sorted(own.keys() - weights.keys()),
        extra=sorted(weights.keys() - own.keys()),
    )
    denoiser.controlnet.load_state_dict(weights)
