"""The pose ControlNet (sec. 3.1), with the temporal layers of the U-Net.

Shape suffixes: see `idol.model.layout`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor, nn

from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.attention import zero_
from idol.model.encoder import DualModalEncoder

__all__ = ["ControlResiduals", "PoseControlNet"]


class ControlResiduals(NamedTuple):
    """What the U-Net adds to its skips, in their order, and to its middle block's output.

    `within` is what it adds inside each of its down blocks (`idol.variants.t2i_adapter`).
    """

    skips: Sequence[Tensor] = ()
    mid: Tensor | None = None
    within: Sequence[Tensor] = ()


class PoseControlNet(DualModalEncoder):
    """A copy of the U-Net's encoder that sees the pose latent and steers through zero convs.

    It is shared by both modalities like the U-Net, and has no cross-modal attention.
    """

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config, cross_modal=False)
        channels = config.block_out_channels
        self.pose_conv = nn.Conv2d(config.latent_channels, channels[0], kernel_size=3, padding=1)
        zero_(self.pose_conv)
        skips = [channels[0]]
        for level, width in enumerate(channels):
            skips += [width] * (config.layers_per_block + (level < len(channels) - 1))
        self.controlnet_down_blocks = nn.ModuleList(_zero_conv(width) for width in skips)
        self.controlnet_mid_block = _zero_conv(channels[-1])

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        pose_BFCHW: Tensor,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
    ) -> ControlResiduals:
        """Compute residuals for the U-Net from noisy latents and the pose latents.

        Args:
            latents_BMFCHW, timesteps_B, foreground_BTD, modalities: as for `DualModalUNet`.
            pose_BFCHW: VAE latents of the drawn skeletons; they steer both streams.

        Raises:
            ValueError: shapes disagree.
        """
        embeddings = self.embeddings(latents_BMFCHW, timesteps_B, foreground_BTD, modalities)
        layout = embeddings.layout
        if pose_BFCHW.shape != latents_BMFCHW[:, 0].shape:
            raise ValueError(
                f"pose latents must be {tuple(latents_BMFCHW[:, 0].shape)}, one per frame, not "
                f"{tuple(pose_BFCHW.shape)}"
            )
        pose = self.pose_conv(pose_BFCHW.flatten(0, 1)).unflatten(0, pose_BFCHW.shape[:2])
        latents_NCHW = latents_BMFCHW.flatten(0, 2).to(self.conv_in.weight.dtype)
        hidden = layout.split(self.conv_in(latents_NCHW)) + pose[:, None]
        hidden = hidden.flatten(0, 2)
        hidden, skips = self.encode(hidden, embeddings)
        return ControlResiduals(
            [conv(skip) for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)],
            self.controlnet_mid_block(hidden),
        )


def _zero_conv(channels: int) -> nn.Module:
    return zero_(nn.Conv2d(channels, channels, kernel_size=1))
