"""Down, middle and up blocks: units of ResBlock and transformer, then cross-modal attention.

The order inside a block is Fig. 2, right. Parameters of the 2D model keep diffusers' names.
Shape suffixes: see `idol.model.layout`.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn import functional as F

from idol.config.model import DualModalUNetConfig
from idol.model.attention import CrossModalAttention, LayerFeatures, Transformer
from idol.model.layout import ClipLayout
from idol.model.resblock import ResBlock

__all__ = ["DownBlock", "Embeddings", "MidBlock", "UpBlock", "Upsample"]

# Values of an image batch that torch enlarges channels-last; beyond, its CUDA kernel makes zeros
# (pytorch issue 141831).
_MOST_ENLARGED = 2**31 - 1


class Embeddings(NamedTuple):
    """What every unit is given: the time and modality embedding, and the foreground tokens.

    The embedding is after its SiLU, which all units take of it. `made` is what units make of both:
    of a ResBlock its `time_emb_proj`, of a transformer its keys and values. Others make their own.
    """

    time_NE: Tensor
    tokens_BTD: Tensor
    layout: ClipLayout
    made: Mapping[nn.Module, tuple[Tensor, ...]] = MappingProxyType({})


class _Block(nn.Module):
    """What the three kinds of block share: cross-modal attention and checkpointed units."""

    # ModelMixin.enable_gradient_checkpointing sets both.
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Any]

    def __init__(
        self, channels: int, layers: int, config: DualModalUNetConfig, *, cross_modal: bool
    ) -> None:
        super().__init__()
        placement = config.cross_modal_attention if cross_modal else "none"
        heads = config.attention_heads
        self.cross_modal = (
            CrossModalAttention(channels, heads) if placement == "block_end" else None
        )
        self.motion_feature = config.motion_feature
        # One for each unit, in variants that have them (`idol.variants.animatediff`).
        self.motion_modules = nn.ModuleList()
        self.cross_modal_layers = nn.ModuleList(
            CrossModalAttention(channels, heads)
            for _ in range(layers if placement == "layer_end" else 0)
        )

    def _run(self, layer: nn.Module, *args: Any) -> Any:
        """Call `layer`, or checkpoint it: keep its inputs and recompute the rest in backward."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(layer, *args)
        return layer(*args)

    def _attend(
        self, x_NCHW: Tensor, index: int, transformer: nn.Module, embeddings: Embeddings
    ) -> tuple[Tensor, LayerFeatures]:
        given = embeddings.tokens_BTD, embeddings.layout, embeddings.made.get(transformer, ())
        x_NCHW, features = self._run(transformer, x_NCHW, *given)
        if len(self.motion_modules):
            x_NCHW = self._move(x_NCHW, index, embeddings.layout)
            if self.motion_feature == "temporal_attention":
                features = features._replace(motion_NHWC=x_NCHW.movedim(1, -1))
        if len(self.cross_modal_layers):
            x_NCHW = self._run(self.cross_modal_layers[index], x_NCHW, embeddings.layout)
        return x_NCHW, features

    def _resnet(self, resnet: nn.Module, x_NCHW: Tensor, embeddings: Embeddings) -> Tensor:
        given = embeddings.time_NE, embeddings.layout, embeddings.made.get(resnet, ())
        after: Tensor = self._run(resnet, x_NCHW, *given)
        return after

    def _move(self, x_NCHW: Tensor, index: int, layout: ClipLayout) -> Tensor:
        if not len(self.motion_modules):
            return x_NCHW
        return self._run(self.motion_modules[index], x_NCHW, layout)

    def _exchange(self, x_NCHW: Tensor, layout: ClipLayout) -> Tensor:
        if self.cross_modal is None:
            return x_NCHW
        return self._run(self.cross_modal, x_NCHW, layout)


class DownBlock(_Block):
    """Units at one resolution, each leaving a skip; then, but at the coarsest, downsampling."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        config: DualModalUNetConfig,
        *,
        attention: bool,
        downsample: bool,
        cross_modal: bool,
    ) -> None:
        layers = config.layers_per_block
        super().__init__(channels, layers, config, cross_modal=cross_modal and attention)
        self.resnets = nn.ModuleList(
            ResBlock(in_channels if i == 0 else channels, channels, config) for i in range(layers)
        )
        self.attentions = nn.ModuleList(
            Transformer(channels, config) for _ in range(layers if attention else 0)
        )
        self.downsamplers = nn.ModuleList(
            [Downsample2D(channels, use_conv=True, name="op")] if downsample else []
        )

    def forward(
        self, x_NCHW: Tensor, embeddings: Embeddings, within_NCHW: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the block's output and its skips; the last unit's skip has been exchanged.

        within_NCHW: added to what the last unit gives, before that.
        """
        x_NCHW, skips = self.units(x_NCHW, embeddings)
        if within_NCHW is not None:
            x_NCHW = x_NCHW + within_NCHW
        return self.resample(self._exchange(x_NCHW, embeddings.layout), skips)

    def units(self, x_NCHW: Tensor, embeddings: Embeddings) -> tuple[Tensor, list[Tensor]]:
        """What comes before the exchange: features, and the skips but for the last unit's."""
        skips = []
        for i, resnet in enumerate(self.resnets):
            x_NCHW = self._resnet(resnet, x_NCHW, embeddings)
            if len(self.attentions):
                x_NCHW, _ = self._attend(x_NCHW, i, self.attentions[i], embeddings)
            else:
                x_NCHW = self._move(x_NCHW, i, embeddings.layout)
            skips.append(x_NCHW)
        return x_NCHW, skips[:-1]

    def resample(self, x_NCHW: Tensor, skips: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """What comes after it: the next level's features, and all skips."""
        skips = [*skips, x_NCHW]
        for downsampler in self.downsamplers:
            x_NCHW = downsampler(x_NCHW)
            skips.append(x_NCHW)
        return x_NCHW, skips


class MidBlock(_Block):
    """ResBlock, transformer, ResBlock, cross-modal attention at the coarsest resolution."""

    def __init__(self, channels: int, config: DualModalUNetConfig, *, cross_modal: bool) -> None:
        super().__init__(channels, 1, config, cross_modal=cross_modal)
        self.resnets = nn.ModuleList(ResBlock(channels, channels, config) for _ in range(2))
        self.attentions = nn.ModuleList([Transformer(channels, config)])

    def forward(self, x_NCHW: Tensor, embeddings: Embeddings) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return self._exchange(self.units(x_NCHW, embeddings), embeddings.layout)

    def units(self, x_NCHW: Tensor, embeddings: Embeddings) -> Tensor:
        """What comes before the exchange."""
        x_NCHW = self._resnet(self.resnets[0], x_NCHW, embeddings)
        x_NCHW, _ = self._attend(x_NCHW, 0, self.attentions[0], embeddings)
        return self._resnet(self.resnets[1], x_NCHW, embeddings)


class Upsample(nn.Module):
    """To the next level's size, each pixel repeated, and a convolution.

    Parameters and values are those of diffusers' `Upsample2D`, which copies 64 images and more out
    of channels-last; only what is larger than torch's kernel can count has to be.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_NCHW: Tensor, size: tuple[int, ...]) -> Tensor:
        """(N, C, H, W) to (N, C, *size)."""
        if x_NCHW.shape[:2].numel() * math.prod(size) > _MOST_ENLARGED:
            x_NCHW = x_NCHW.contiguous()
        return self.conv(F.interpolate(x_NCHW, size=size, mode="nearest"))


class UpBlock(_Block):
    """Units that each take a skip; then, but at the finest resolution, upsampling."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        skip_channels: list[int],
        config: DualModalUNetConfig,
        *,
        attention: bool,
        upsample: bool,
    ) -> None:
        layers = len(skip_channels)
        super().__init__(channels, layers, config, cross_modal=attention)
        self.resnets = nn.ModuleList(
            ResBlock((in_channels if i == 0 else channels) + skip, channels, config)
            for i, skip in enumerate(skip_channels)
        )
        self.attentions = nn.ModuleList(
            Transformer(channels, config) for _ in range(layers if attention else 0)
        )
        self.upsamplers = nn.ModuleList([Upsample(channels)] if upsample else [])

    def forward(
        self,
        x_NCHW: Tensor,
        skips: list[Tensor],
        embeddings: Embeddings,
        size: tuple[int, ...] | None,
    ) -> tuple[Tensor, list[LayerFeatures]]:
        """Consume `skips`, one per unit, from their end; return output and features.

        size: height and width of the next level; None at the finest.
        """
        x_NCHW, features = self.units(x_NCHW, skips, embeddings)
        return self.resample(self._exchange(x_NCHW, embeddings.layout), size), features

    def taken(self, skips: list[Tensor]) -> tuple[list[Tensor], tuple[int, ...] | None]:
        """Take from the end of all skips those of this block; also give the next level's size.

        By who calls the block, and not in it: hooks hand a block a copy of what it is given.
        """
        own = skips[-len(self.resnets) :]
        del skips[-len(self.resnets) :]
        return own, skips[-1].shape[-2:] if skips else None

    def units(
        self, x_NCHW: Tensor, skips: list[Tensor], embeddings: Embeddings
    ) -> tuple[Tensor, list[LayerFeatures]]:
        """What comes before the exchange."""
        features = []
        for i, resnet in enumerate(self.resnets):
            x_NCHW = torch.cat([x_NCHW, skips.pop()], dim=1)
            x_NCHW = self._resnet(resnet, x_NCHW, embeddings)
            if len(self.attentions):
                x_NCHW, layer = self._attend(x_NCHW, i, self.attentions[i], embeddings)
                features.append(layer)
            else:
                x_NCHW = self._move(x_NCHW, i, embeddings.layout)
        return x_NCHW, features

    def resample(self, x_NCHW: Tensor, size: tuple[int, ...] | None) -> Tensor:
        """What comes after it: the next level's features."""
        if size is None:
            return x_NCHW
        return self.upsamplers[0](x_NCHW, size)
