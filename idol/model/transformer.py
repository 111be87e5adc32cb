"""The transformer of one unit: spatial, temporal and cross-attention, then the feed-forward.

Shape suffixes: see `idol.model.layout`.
"""

from typing import NamedTuple

from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from idol.config.model import DualModalUNetConfig
from idol.model.attention import Attention, QueriesKeys, TemporalAttention
from idol.model.layout import ClipLayout

__all__ = ["TRANSFORMER_NORM_EPS", "LayerFeatures", "Transformer", "TransformerBlock"]

TRANSFORMER_NORM_EPS = 1e-6


class LayerFeatures(NamedTuple):
    """What the consistency losses compare, taken from one layer.

    Attributes:
        motion_NHWC: hidden states for Eq. 3.
        cross_attention: queries (N, heads, L, D) and keys (N, heads, T, D) for Eq. 6.
    """

    motion_NHWC: Tensor
    cross_attention: QueriesKeys


class TransformerBlock(nn.Module):
    """Spatial self-attention, temporal attention, cross-attention, feed-forward (sec. 3.1)."""

    def __init__(self, channels: int, config: DualModalUNetConfig) -> None:
        super().__init__()
        heads = config.attention_heads
        self.motion_feature = config.motion_feature
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.temporal = TemporalAttention(channels, heads) if config.temporal_layers else None
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, context_channels=config.cross_attention_dim)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(
        self, x_NLC: Tensor, tokens_NTD: Tensor, layout: ClipLayout
    ) -> tuple[Tensor, Tensor, QueriesKeys]:
        """Return the new hidden states, the motion feature (both (N, L, C)), and the map."""
        x_NLC = x_NLC + self.attn1(self.norm1(x_NLC))
        after_spatial = x_NLC
        if self.temporal is not None:
            x_NLC = self.temporal(x_NLC, layout)
        motion = after_spatial if self.motion_feature == "spatial_attention" else x_NLC
        attended, cross_attention = self.attn2.with_map(self.norm2(x_NLC), tokens_NTD)
        x_NLC = x_NLC + attended
        return x_NLC + self.ff(self.norm3(x_NLC)), motion, cross_attention


class Transformer(nn.Module):
    """One transformer block between two 1x1 convolutions, as a residual on a feature map.

    The names are those of diffusers' `Transformer2DModel`, so a 2D checkpoint fits.
    """

    def __init__(self, channels: int, config: DualModalUNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, channels, eps=TRANSFORMER_NORM_EPS)
        self.proj_in = nn.Conv2d(channels, channels, kernel_size=1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, config)])
        self.proj_out = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(
        self, x_NCHW: Tensor, tokens_NTD: Tensor, layout: ClipLayout
    ) -> tuple[Tensor, LayerFeatures]:
        """(N, C, H, W) to the same shape, and this layer's features for the losses."""
        size = x_NCHW.shape[-2:]
        hidden_NLC = self.proj_in(self.norm(x_NCHW)).flatten(2).transpose(1, 2)
        hidden_NLC, motion, cross_attention = self.transformer_blocks[0](
            hidden_NLC, tokens_NTD, layout
        )
        hidden_NCHW = hidden_NLC.transpose(1, 2).unflatten(2, size)
        features = LayerFeatures(motion.unflatten(1, size), cross_attention)
        return x_NCHW + self.proj_out(hidden_NCHW), features
