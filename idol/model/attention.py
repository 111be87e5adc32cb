"""The transformer of one unit, and its attentions: those of the 2D model and the new ones.

Shape suffixes: see `idol.model.layout`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from idol.config.model import VIDEO, DualModalUNetConfig, SharedMaps
from idol.model.flash import attend
from idol.model.layout import ClipLayout
from idol.model.readable import readable

__all__ = [
    "TRANSFORMER_NORM_EPS",
    "Attention",
    "CrossModalAttention",
    "LayerFeatures",
    "QueriesKeys",
    "TemporalAttention",
    "Transformer",
    "TransformerBlock",
    "shared",
    "together",
    "zero_",
]


class QueriesKeys(NamedTuple):
    """What defines an attention map, softmax(q k^T / sqrt(D)), without the map itself."""

    queries: Tensor
    keys: Tensor


class Attention(nn.Module):
    """Multi-head attention with diffusers' parameter names, always by a fused kernel.

    Args:
        channels: of the attending tokens, and of the result.
        heads: divides `channels`.
        context_channels: of the tokens attended to; `channels` when absent.
        zero_output: start with an output projection of zero, so that the layer, used as a
            residual, starts as the identity.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        context_channels: int | None = None,
        zero_output: bool = False,
    ) -> None:
        super().__init__()
        context_channels = context_channels or channels
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        if zero_output:
            zero_(self.to_out[0])

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Attend from (N, L, C) to itself; returns (N, L, C)."""
        made = together(x_NLC, self.to_q, self.to_k, self.to_v)
        mixed = attend(*(self._split_heads(x) for x in made))
        return self.to_out[0](mixed.transpose(1, 2).flatten(2))

    def over_images(self, x_NLC: Tensor, images: int) -> Tensor:
        """Attend among runs of `images` of the (N, L, C), at each position by itself."""
        # The heads of all positions are those of one attention: laid out one after the other.
        made = torch.stack(together(x_NLC, self.to_q, self.to_k, self.to_v))
        queries, keys, values = (
            x.unflatten(0, (-1, images))
            .unflatten(-1, (self.heads, -1))
            .flatten(2, 3)
            .transpose(1, 2)
            for x in made.unbind()
        )
        mixed = attend(queries, keys, values).transpose(1, 2).flatten(0, 1)
        return self.to_out[0](mixed.unflatten(1, (-1, self.heads)).flatten(2))

    def to_context(
        self,
        x_NLC: Tensor,
        context_BTD: Tensor,
        share: Callable[[Tensor], Tensor] | None = None,
        made: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, QueriesKeys]:
        """Attend from (N, L, C) to what a clip has once; keys and values are made once for it.

        Args:
            share: changes the (N, heads, L, D) that maps make of values.
            made: keys and values (B, T, C) if they are there already.

        Returns:
            (N, L, C), and the (N, heads, L, D) queries and (B, heads, T, D) keys of the maps.
        """
        clips, images = len(context_BTD), len(x_NLC)
        queries = self._split_heads(self.to_q(x_NLC).unflatten(0, (clips, -1)).flatten(1, 2))
        made = made or together(context_BTD, self.to_k, self.to_v)
        keys, values = map(self._split_heads, made)
        # The positions of all of a clip's images attend as if they were those of one.
        mixed, queries = (
            x.unflatten(2, (images // clips, -1)).transpose(1, 2).flatten(0, 1)
            for x in (attend(queries, keys, values), queries)
        )
        if share is not None:
            mixed = share(mixed)
        return self.to_out[0](mixed.transpose(1, 2).flatten(2)), QueriesKeys(queries, keys)

    def _split_heads(self, x_NLC: Tensor) -> Tensor:
        return x_NLC.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def together(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """What linear layers, all with a bias or none, make of the same (..., in), by one product.

    One after the other where their weights cannot be read, as when they are offloaded.
    """
    if not readable(x.device, *layers):
        return tuple(layer(x) for layer in layers)
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    bias = torch.cat(biases) if biases else None
    made = F.linear(x, torch.cat([layer.weight for layer in layers]), bias)
    return made.split([layer.out_features for layer in layers], dim=-1)


class TemporalAttention(nn.Module):
    """Self-attention over the frames of a clip, at each position by itself (sec. 3.1).

    Args:
        own_norm: whether it has a norm of its own; else it is given one.
    """

    def __init__(self, channels: int, heads: int, *, own_norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels) if own_norm else None
        self.attention = Attention(channels, heads, zero_output=True)

    def forward(
        self, x_NLC: Tensor, layout: ClipLayout, normed_NLC: Tensor | None = None
    ) -> Tensor:
        """(N, L, C) to (N, L, C): residual included; the identity when freshly made.

        normed_NLC: what the cross-attention's norm makes, for those without one of their own.
        """
        if normed_NLC is None:
            assert self.norm is not None
            normed_NLC = self.norm(x_NLC)
        return x_NLC + self.attention.over_images(normed_NLC, layout.frames)


class CrossModalAttention(nn.Module):
    """Self-attention over the tokens of video and depth of the same frame (Fig. 2, right).

    With a single modality, as in pre-training, there is nothing to exchange: the identity.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads, zero_output=True)

    def forward(self, x_NCHW: Tensor, layout: ClipLayout) -> Tensor:
        """(N, C, H, W) to (N, C, H, W): residual included; the identity when freshly made."""
        if layout.modalities == 1:
            return x_NCHW
        height, width = x_NCHW.shape[-2:]
        tokens_NLC = x_NCHW.flatten(2).transpose(1, 2)
        tokens_BFMLC = layout.split(tokens_NLC).transpose(1, 2)
        joint = tokens_BFMLC.flatten(2, 3).flatten(0, 1)
        mixed = self.attention(self.norm(joint))
        mixed_BMFLC = mixed.reshape(tokens_BFMLC.shape).transpose(1, 2)
        mixed_NCL = mixed_BMFLC.flatten(0, 2).transpose(1, 2)
        return x_NCHW + mixed_NCL.unflatten(2, (height, width))


def zero_(module: nn.Module) -> nn.Module:
    """Set all parameters of `module` to zero, in place, and return it."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


TRANSFORMER_NORM_EPS = 1e-6


class LayerFeatures(NamedTuple):
    """What the consistency losses compare, taken from one layer.

    Attributes:
        motion_NHWC: hidden states for Eq. 3.
        cross_attention: queries (N, heads, L, D) and keys (B, heads, T, D) for Eq. 6.
    """

    motion_NHWC: Tensor
    cross_attention: QueriesKeys


# Tab. 8. Both streams attend to the same tokens with the same weights, so to the same values: the
# average of two maps makes of them the average of what each map makes.
def shared(mixed_N: Tensor, layout: ClipLayout, kind: SharedMaps) -> Tensor:
    """What attention makes of values, with one map for both streams in place of two; (N, ...)."""
    mixed_BMF = layout.split(mixed_N)
    if kind == "average":
        one = mixed_BMF.mean(dim=1, keepdim=True)
    else:
        one = mixed_BMF[:, VIDEO : VIDEO + 1]
    return one.expand_as(mixed_BMF).flatten(0, 2)


class TransformerBlock(nn.Module):
    """Spatial self-attention, temporal attention, cross-attention, feed-forward (sec. 3.1)."""

    def __init__(self, channels: int, config: DualModalUNetConfig) -> None:
        super().__init__()
        heads = config.heads(channels)
        self.motion_feature = config.motion_feature
        self.shared_maps = config.shared_maps
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        own_norm = config.temporal_norm == "own"
        self.temporal = (
            TemporalAttention(channels, config.attention_heads, own_norm=own_norm)
            if config.own_temporal_layers
            else None
        )
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, context_channels=config.cross_attention_dim)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(
        self,
        x_NLC: Tensor,
        tokens_BTD: Tensor,
        layout: ClipLayout,
        keys_values: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, Tensor, QueriesKeys]:
        """Return the new hidden states, the motion feature (both (N, L, C)), and the map."""
        x_NLC = x_NLC + self.attn1(self.norm1(x_NLC))
        after_spatial = x_NLC
        if self.temporal is not None:
            normed_NLC = self.norm2(x_NLC) if self.temporal.norm is None else None
            x_NLC = self.temporal(x_NLC, layout, normed_NLC)
        motion = after_spatial if self.motion_feature == "spatial_attention" else x_NLC
        share = None
        if self.shared_maps != "none" and layout.modalities > 1:
            share = partial(shared, layout=layout, kind=self.shared_maps)
        attended, cross_attention = self.attn2.to_context(
            self.norm2(x_NLC), tokens_BTD, share, keys_values
        )
        x_NLC = x_NLC + attended
        return x_NLC + self.ff(self.norm3(x_NLC)), motion, cross_attention


class Transformer(nn.Module):
    """One transformer block between two 1x1 convolutions, as a residual on a feature map.

    The names are those of diffusers' `Transformer2DModel`, so a 2D checkpoint fits.
    """

    def __init__(self, channels: int, config: DualModalUNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, channels, eps=TRANSFORMER_NORM_EPS)
        self.linear = config.linear_projection
        self.proj_in = _projection(channels, linear=self.linear)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, config)])
        self.proj_out = _projection(channels, linear=self.linear)

    def forward(
        self,
        x_NCHW: Tensor,
        tokens_BTD: Tensor,
        layout: ClipLayout,
        keys_values: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, LayerFeatures]:
        """(N, C, H, W) to the same shape, and this layer's features for the losses.

        keys_values: what `to_k` and `to_v` of `attn2` make of the tokens, if it is there already.
        """
        size = x_NCHW.shape[-2:]
        normed_NCHW = self.norm(x_NCHW)
        if self.linear:
            hidden_NLC = self.proj_in(normed_NCHW.flatten(2).transpose(1, 2))
        else:
            hidden_NLC = self.proj_in(normed_NCHW).flatten(2).transpose(1, 2)
        hidden_NLC, motion, cross_attention = self.transformer_blocks[0](
            hidden_NLC, tokens_BTD, layout, keys_values
        )
        features = LayerFeatures(motion.unflatten(1, size), cross_attention)
        if self.linear:
            hidden_NLC = self.proj_out(hidden_NLC)
        hidden_NCHW = hidden_NLC.transpose(1, 2).unflatten(2, size)
        return x_NCHW + (hidden_NCHW if self.linear else self.proj_out(hidden_NCHW)), features


def _projection(channels: int, *, linear: bool) -> nn.Module:
    return nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, kernel_size=1)
