"""The half that U-Net and ControlNet share: embeddings, down blocks and the middle block.

Shape suffixes: see `idol.model.layout`.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.attention import Transformer, together, zero_
from idol.model.blocks import DownBlock, Embeddings, MidBlock
from idol.model.layout import ClipLayout
from idol.model.readable import untouched
from idol.model.resblock import ResBlock
from idol.model.saving import ConfiguredModel

__all__ = ["DualModalEncoder"]


class DualModalEncoder(ConfiguredModel):
    """Base of `DualModalUNet` and `PoseControlNet`: from noisy latents to the coarsest features.

    Its parameters have the names of diffusers' 2D models; what is new has new names.
    """

    _supports_gradient_checkpointing = True
    _repeated_blocks = ["ResBlock", "Transformer", "CrossModalAttention"]  # noqa: RUF012

    def __init__(self, config: DualModalUNetConfig, *, cross_modal: bool) -> None:
        super().__init__(config)
        channels = config.block_out_channels
        self.conv_in = nn.Conv2d(config.latent_channels, channels[0], kernel_size=3, padding=1)
        self.time_embedding = TimestepEmbedding(channels[0], config.time_embed_dim)
        self.modality_embed = (
            zero_(nn.Embedding(2, config.time_embed_dim)) if config.modality_embedding else None
        )
        self.down_blocks = nn.ModuleList(
            DownBlock(
                channels[max(level - 1, 0)],
                channels[level],
                config,
                attention=config.attention_levels[level],
                downsample=level < len(channels) - 1,
                cross_modal=cross_modal,
            )
            for level in range(len(channels))
        )
        self.mid_block = MidBlock(channels[-1], config, cross_modal=cross_modal)

    # Sec. 3.1: "we add a learnable modality embedding to the time step embedding".
    def embed(self, timesteps_B: Tensor, modalities_M: Tensor, layout: ClipLayout) -> Tensor:
        """Embed timesteps (B,) and modality labels (M,), and repeat per image: (N, E)."""
        sinusoids = _sinusoids(timesteps_B, self.settings.block_out_channels[0])
        sinusoids = sinusoids.to(self.conv_in.weight.dtype)
        time_NE = layout.per_clip(self.time_embedding(sinusoids))
        if self.modality_embed is None:
            return time_NE
        return time_NE + layout.per_modality(self.modality_embed(modalities_M))

    def encode(
        self, x_NCHW: Tensor, embeddings: Embeddings, within: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Run down and middle blocks; return the coarsest features and the skips.

        within: what is added inside each down block, finest first; nothing unless given.
        """
        skips = [x_NCHW]
        for block, added in zip_longest(self.down_blocks, within):
            x_NCHW, block_skips = block(x_NCHW, embeddings, added)
            skips += block_skips
        return self.mid_block(x_NCHW, embeddings), skips

    def embeddings(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        tokens_BTD: Tensor,
        modalities: tuple[int, ...],
    ) -> Embeddings:
        """Check how the inputs fit together and lay them out per image.

        Raises:
            ValueError: the inputs disagree about clips, modalities or channels.
        """
        layout = _checked_layout(latents_BMFCHW, timesteps_B, tokens_BTD, modalities, self.settings)
        modalities_M = _labels(modalities, timesteps_B.device)
        time_NE = F.silu(self.embed(timesteps_B, modalities_M, layout))
        return Embeddings(time_NE, tokens_BTD, layout, self._made(time_NE, tokens_BTD))

    def _made(self, time_NE: Tensor, tokens_BTD: Tensor) -> Mapping[nn.Module, tuple[Tensor, ...]]:
        """What all units make of the same embedding and tokens: two products for the network."""
        resnets, transformers = self._units
        if isinstance(resnets[0].time_emb_proj.weight, DTensor):
            return {}  # with FSDP a unit's weights are whole while it runs, and then alone
        if not untouched(*self.down_blocks, self.mid_block, *getattr(self, "up_blocks", ())):
            return {}  # what is offloaded block by block is here while the block runs
        shifts = together(time_NE, *(resnet.time_emb_proj for resnet in resnets))
        attentions = [transformer.transformer_blocks[0].attn2 for transformer in transformers]
        keys_values = together(
            tokens_BTD, *(layer for one in attentions for layer in (one.to_k, one.to_v))
        )
        pairs = zip(keys_values[::2], keys_values[1::2], strict=True)
        return {
            **{resnet: (shift,) for resnet, shift in zip(resnets, shifts, strict=True)},
            **dict(zip(transformers, pairs, strict=True)),
        }

    @cached_property
    def _units(self) -> tuple[list[Any], list[Any]]:
        kinds = ResBlock, Transformer
        resnets, transformers = ([m for m in self.modules() if isinstance(m, k)] for k in kinds)
        return resnets, transformers


def _sinusoids(timesteps_B: Tensor, channels: int) -> Tensor:
    """(B, channels) float32 as Stable Diffusion has them: cosines, then sines."""
    angles = timesteps_B[:, None].float() * _frequencies(channels // 2, timesteps_B.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@lru_cache
def _frequencies(count: int, device: torch.device) -> Tensor:
    return torch.exp(-math.log(10000) * torch.arange(count, device=device).float() / count)


# Made once: a step that is captured as a CUDA graph may copy nothing from the CPU.
@lru_cache
def _labels(modalities: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(modalities, device=device)


def _checked_layout(
    latents_BMFCHW: Tensor,
    timesteps_B: Tensor,
    tokens_BTD: Tensor,
    modalities: tuple[int, ...],
    config: DualModalUNetConfig,
) -> ClipLayout:
    shape = tuple(latents_BMFCHW.shape)
    if len(shape) != 6 or shape[3] != config.latent_channels:
        raise ValueError(
            f"latents must be (clips, modalities, frames, {config.latent_channels}, height, "
            f"width), not {shape}"
        )
    if len(modalities) != shape[1] or not set(modalities) <= {VIDEO, DEPTH}:
        raise ValueError(
            f"modalities {modalities} must label the {shape[1]} modalities of the latents, "
            f"each {VIDEO} (video) or {DEPTH} (depth)"
        )
    if timesteps_B.shape != shape[:1]:
        raise ValueError(
            f"timesteps must be ({shape[0]},), one per clip for all frames and both modalities, "
            f"not {tuple(timesteps_B.shape)}"
        )
    if tokens_BTD.ndim != 3 or (tokens_BTD.shape[0], tokens_BTD.shape[2]) != (
        shape[0],
        config.cross_attention_dim,
    ):
        raise ValueError(
            f"foreground tokens must be ({shape[0]}, tokens, {config.cross_attention_dim}), "
            f"not {tuple(tokens_BTD.shape)}"
        )
    if not config.temporal_layers and shape[2] != 1:
        raise ValueError(
            f"the model has no temporal layers (temporal_layers=False) and got {shape[2]} frames; "
            "give it single frames, or build it with temporal layers"
        )
    if config.temporal_modules == "animatediff" and shape[2] > config.motion_frames:
        raise ValueError(
            f"the model's motion modules know clips of at most {config.motion_frames} frames, and "
            f"got {shape[2]}: take windows of so many"
        )
    return ClipLayout(*shape[:3])
