"""The 2D ResBlock, with a temporal convolution inside.

Shape suffixes: see `idol.model.layout`.
"""

import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from idol.config.model import DualModalUNetConfig
from idol.model.attention import zero_
from idol.model.layout import ClipLayout
from idol.model.readable import readable

__all__ = ["NORM_EPS", "ResBlock", "TemporalConv", "group_norm"]

NORM_EPS = 1e-5


def group_norm(
    norm: nn.GroupNorm, x_NCHW: Tensor, layout: ClipLayout, across_frames: bool
) -> Tensor:
    """GroupNorm with statistics of each frame, or of each clip (DisCo's way)."""
    if not across_frames:
        return norm(x_NCHW)
    frames_last = layout.split(x_NCHW).movedim(2, 3).flatten(0, 1)
    normed = norm(frames_last)
    return normed.unflatten(0, (layout.clips, layout.modalities)).movedim(3, 2).flatten(0, 2)


class TemporalConv(nn.Module):
    """GroupNorm, SiLU and a convolution over three frames (sec. 3.1), as a residual."""

    def __init__(self, channels: int, groups: int, across_frames: bool) -> None:
        super().__init__()
        self.across_frames = across_frames
        self.norm = nn.GroupNorm(groups, channels, eps=NORM_EPS)
        self.conv = nn.Conv1d(channels, channels, kernel_size=3, padding=1)
        zero_(self.conv)

    def forward(self, x_NCHW: Tensor, layout: ClipLayout) -> Tensor:
        """(N, C, H, W) to (N, C, H, W): residual included; the identity when freshly made."""
        active = F.silu(group_norm(self.norm, x_NCHW, layout, self.across_frames))
        # One 2D convolution over (frames, positions): no position becomes a batch entry of its
        # own, and for channels-last images the permutation moves no data.
        clips = active.flatten(2).unflatten(0, (-1, layout.frames)).transpose(1, 2)
        if readable(clips.device, self.conv):
            mixed = F.conv2d(clips, self.conv.weight.unsqueeze(-1), self.conv.bias, padding=(1, 0))
        else:  # offloaded
            mixed = self.conv(clips.movedim(3, 1).flatten(0, 1)).unflatten(0, (len(clips), -1))
            mixed = mixed.movedim(1, 3)
        return x_NCHW + mixed.transpose(1, 2).flatten(0, 1).unflatten(2, x_NCHW.shape[2:])


class ResBlock(ResnetBlock2D):
    """diffusers' ResBlock; the temporal convolution follows its second convolution (sec. 3.1).

    The 2D weights keep diffusers' names, so a 2D checkpoint fits without renaming.
    """

    def __init__(self, in_channels: int, out_channels: int, config: DualModalUNetConfig) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=config.time_embed_dim,
            groups=config.norm_groups,
            eps=NORM_EPS,
        )
        self.across_frames = config.group_norm_across_frames
        self.temporal_conv = (
            TemporalConv(out_channels, config.norm_groups, self.across_frames)
            if config.own_temporal_layers
            else None
        )

    def forward(
        self, x_NCHW: Tensor, time_NE: Tensor, layout: ClipLayout, made: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """(N, in, H, W) and the embedding (N, E), after its SiLU, to (N, out, H, W).

        made: what `time_emb_proj` makes of the embedding, (N, out), if it is there already.
        """
        (time_NC,) = made or (self.time_emb_proj(time_NE),)
        hidden = F.silu(group_norm(self.norm1, x_NCHW, layout, self.across_frames))
        hidden = self.conv1(hidden) + time_NC[:, :, None, None]
        hidden = F.silu(group_norm(self.norm2, hidden, layout, self.across_frames))
        hidden = self.conv2(hidden)
        if self.temporal_conv is not None:
            hidden = self.temporal_conv(hidden, layout)
        shortcut = x_NCHW if self.conv_shortcut is None else self.conv_shortcut(x_NCHW)
        return shortcut + hidden
