"""DisCo (Tab. 1 and 2): video alone, its background given to a ControlNet of its own.

Person through cross-attention, pose and background through a ControlNet each, whose residuals add
up; no depth is generated, it is estimated from the frames afterwards. Temporal layers, stages and
latent hints are those of the paper's baseline (we): DisCo itself reads its pose from pixels.
Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor

from idol.config.model import VIDEO, DualModalUNetConfig
from idol.model.controlnet import ControlResiduals, PoseControlNet
from idol.model.denoiser import DualModalDenoiser, ForegroundProjection, Parts
from idol.model.layout import of_frames
from idol.model.saving import ConfiguredModel
from idol.model.unet import DualModalUNet

__all__ = ["DiscoControlNets", "DiscoDenoiser"]


class DiscoControlNets(ConfiguredModel):
    """A ControlNet of the pose and one of the background."""

    _supports_gradient_checkpointing = True

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        self.pose_network = PoseControlNet(config)
        self.background_network = PoseControlNet(config)

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        pose_BFCHW: Tensor,
        background_BCHW: Tensor,
        *,
        modalities: tuple[int, ...] = (VIDEO,),
    ) -> ControlResiduals:
        """As `PoseControlNet`; the background is the hint of every frame."""
        still_BFCHW = of_frames(background_BCHW).expand_as(pose_BFCHW)
        given = latents_BMFCHW, timesteps_B, foreground_BTD
        pose = self.pose_network(*given, pose_BFCHW, modalities=modalities)
        background = self.background_network(*given, still_BFCHW, modalities=modalities)
        skips = [a + b for a, b in zip(pose.skips, background.skips, strict=True)]
        return ControlResiduals(skips, pose.mid + background.mid)

    def compile_repeated_blocks(self, **options: Any) -> None:
        """Run the repeated blocks of both through `torch.compile`."""
        for network in (self.pose_network, self.background_network):
            network.compile_repeated_blocks(**options)


class DiscoDenoiser(DualModalDenoiser):
    """A U-Net of one stream with two ControlNets, which start alike."""

    part_classes: ClassVar[Parts] = Parts(DualModalUNet, DiscoControlNets, ForegroundProjection)

    @classmethod
    def from_unified(cls, unified: DualModalDenoiser) -> DiscoDenoiser:
        """Both ControlNets start as the one."""
        disco = cls.from_config(unified.settings)
        disco.unet, disco.foreground_projection = unified.unet, unified.foreground_projection
        for network in (disco.controlnet.pose_network, disco.controlnet.background_network):
            network.load_state_dict(unified.controlnet.state_dict())
        return disco
