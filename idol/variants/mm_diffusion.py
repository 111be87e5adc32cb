"""MM-Diffusion (Tab. 1, 2 and 7): two U-Nets without shared weights, coupled at every block.

The paper puts a second video U-Net in place of the audio's and leaves "the rest of the structure
unchanged": between the two is random-shift cross-attention (Ruan et al., 2023, sec. 3.3). Each
frame of a stream attends to a window of the other's frames, which begins some frames later, around
the end; windows grow towards coarser levels. The shift is drawn by the timestep (we), so that a
step can be repeated and a clip does not depend on others in its batch.
Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor, nn

from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.attention import Attention
from idol.model.controlnet import ControlResiduals
from idol.model.denoiser import ForegroundProjection, Parts
from idol.model.flash import attend
from idol.model.unet import ConsistencyFeatures, DenoiserOutput
from idol.variants.separate_unets import (
    SeparateControlNets,
    SeparateDenoiser,
    SeparateUNets,
    side_by_side,
)

__all__ = ["CoupledUNets", "Coupling", "MMDiffusionDenoiser", "shifts"]

# Frames of a window at the levels from the finest on, and at all coarser ones.
WINDOWS = (1, 4, 8)


def shifts(timesteps_B: Tensor, place: int, frames: int) -> Tensor:
    """How many frames later the windows begin, (B,) in [0, frames): by timestep and place."""
    # Of a multiplicative hash the lower bits are poor.
    return ((timesteps_B.long() * 2_654_435_761 + place * 40_503) >> 9) % frames


class Coupling(nn.Module):
    """Random-shift cross-attention between two streams, in both directions.

    Args:
        window: frames of the other stream that a frame attends to, at most.
        place: tells couplings of a network apart.
    """

    def __init__(self, channels: int, heads: int, *, window: int, place: int) -> None:
        super().__init__()
        self.window, self.place = window, place
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in (VIDEO, DEPTH))
        self.attentions = nn.ModuleList(
            Attention(channels, heads, zero_output=True) for _ in (VIDEO, DEPTH)
        )

    def forward(self, x_NCHW: list[Tensor], timesteps_B: Tensor) -> list[Tensor]:
        """Of both streams (N, C, H, W), N = B * F: residual included; at first the identity."""
        clips, size = len(timesteps_B), x_NCHW[VIDEO].shape[-2:]
        tokens_BFLC = [
            norm(x.flatten(2).transpose(1, 2)).unflatten(0, (clips, -1))
            for norm, x in zip(self.norms, x_NCHW, strict=True)
        ]
        mixed = [
            self._attended(
                self.attentions[own], tokens_BFLC[own], tokens_BFLC[1 - own], timesteps_B
            )
            for own in (VIDEO, DEPTH)
        ]
        return [
            x + m.transpose(1, 2).unflatten(2, size) for x, m in zip(x_NCHW, mixed, strict=True)
        ]

    def _attended(
        self, attention: nn.Module, own_BFLC: Tensor, other_BFLC: Tensor, timesteps_B: Tensor
    ) -> Tensor:
        """From each frame of one stream to its window of the other, (N, L, C)."""
        assert isinstance(attention, Attention)
        clips, frames = own_BFLC.shape[:2]
        device = own_BFLC.device
        later = shifts(timesteps_B, self.place, frames)[:, None, None]
        first = torch.arange(frames, device=device)[:, None]
        window_BFW = (
            later + first + torch.arange(min(self.window, frames), device=device)
        ) % frames
        clip_B11 = torch.arange(clips, device=device)[:, None, None]

        def heads(x_NLC: Tensor) -> Tensor:
            return x_NLC.unflatten(-1, (attention.heads, -1)).transpose(1, 2)

        def windowed(x_BFLC: Tensor) -> Tensor:
            return heads(x_BFLC[clip_B11, window_BFW].flatten(2, 3).flatten(0, 1))

        queries = heads(attention.to_q(own_BFLC).flatten(0, 1))
        keys, values = windowed(attention.to_k(other_BFLC)), windowed(attention.to_v(other_BFLC))
        mixed = attend(queries, keys, values)
        out: Tensor = attention.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


class CoupledUNets(SeparateUNets):
    """Two U-Nets that run block by block, and meet at the end of each that has attention."""

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        widths, levels = config.block_out_channels, range(len(config.block_out_channels))
        places = {f"down_{level}": level for level in levels if config.attention_levels[level]}
        places |= {"mid": len(widths) - 1}
        places |= {f"up_{level}": level for level in levels if config.attention_levels[level]}
        self.couplings = nn.ModuleDict(
            {
                name: Coupling(
                    widths[level],
                    config.attention_heads,
                    window=WINDOWS[min(level, len(WINDOWS) - 1)],
                    place=place,
                )
                for place, (name, level) in enumerate(places.items())
            }
        )

    def enable_group_offload(
        self, onload_device: Any, *, offload_type: str = "block_level", **options: Any
    ) -> None:
        """As all models do, layer by layer. Raises ValueError for blocks, which nobody calls."""
        if offload_type != "leaf_level":
            raise ValueError(
                "coupled U-Nets run side by side and not block by block: offload them with "
                "offload_type='leaf_level'"
            )
        super().enable_group_offload(onload_device, offload_type=offload_type, **options)

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        background_BCHW: Tensor,
        control: tuple[ControlResiduals, ...] | None = None,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
        return_features: bool = False,
    ) -> DenoiserOutput:
        """As `SeparateUNets`. Raises ValueError for other streams than video and depth."""
        if modalities != (VIDEO, DEPTH):
            raise ValueError(f"coupled U-Nets denoise video and depth together, not {modalities}")
        networks: list[Any] = [*self.networks]
        given = [
            (latents_BMFCHW[:, m : m + 1], timesteps_B, background_BCHW, (m,)) for m in modalities
        ]
        embeddings = [
            network.embeddings(latents, timesteps_B, foreground_BTD, label)
            for network, (latents, _, _, label) in zip(networks, given, strict=True)
        ]
        if return_features:
            for network in networks:
                network.check_features()

        def met(name: str, x: list[Tensor]) -> list[Tensor]:
            return self.couplings[name](x, timesteps_B) if name in self.couplings else x

        both, last = (VIDEO, DEPTH), len(self.settings.block_out_channels) - 1
        x = [networks[m].enter(*given[m], embeddings[m]) for m in both]
        skips = [[entered] for entered in x]
        for level, down in enumerate(zip(*(n.down_blocks for n in networks), strict=True)):
            units = [down[m].units(x[m], embeddings[m]) for m in both]
            x = met(f"down_{level}", [features for features, _ in units])
            for m in both:
                x[m], more = down[m].resample(x[m], units[m][1])
                skips[m] += more
        x = met("mid", [networks[m].mid_block.units(x[m], embeddings[m]) for m in both])
        if control is not None:
            for m in both:
                skips[m] = [a + b for a, b in zip(skips[m], control[m].skips, strict=True)]
                if (added := control[m].mid) is not None:
                    x[m] = x[m] + added
        features: list[list[ConsistencyFeatures]] = [[], []]
        for number, up in enumerate(zip(*(n.up_blocks for n in networks), strict=True)):
            taken = [up[m].taken(skips[m]) for m in both]
            done = [up[m].units(x[m], taken[m][0], embeddings[m]) for m in both]
            x = met(f"up_{last - number}", [made for made, _ in done])
            x = [up[m].resample(x[m], taken[m][1]) for m in both]
            if return_features:
                for m in both:
                    layout = embeddings[m].layout
                    features[m] += networks[m].compared(done[m][1], layout)
        noise = [networks[m].leave(x[m], *given[m], embeddings[m]) for m in both]
        compared = tuple(side_by_side(layers) for layers in zip(*features, strict=True))
        return DenoiserOutput(torch.cat(noise, dim=1), compared)


class MMDiffusionDenoiser(SeparateDenoiser):
    """Two models without shared weights, coupled in their U-Nets; both start alike."""

    part_classes: ClassVar[Parts] = Parts(CoupledUNets, SeparateControlNets, ForegroundProjection)
