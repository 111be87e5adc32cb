"""Tab. 4, first row: video and depth are denoised by two models that know nothing of each other.

Each has its U-Net and its pose ControlNet, 2 x 1.39 B parameters. What a foreground, a background
and a pose are is the same for both; the projection of CLIP's tokens is one (we).
Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor, nn

from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.controlnet import ControlResiduals, PoseControlNet
from idol.model.denoiser import DualModalDenoiser, ForegroundProjection, Parts
from idol.model.saving import ConfiguredModel
from idol.model.unet import ConsistencyFeatures, DenoiserOutput, DualModalUNet

__all__ = ["SeparateControlNets", "SeparateDenoiser", "SeparateUNets", "side_by_side"]


class _Streams(ConfiguredModel):
    """Two networks of one architecture, `VIDEO`'s and `DEPTH`'s, without shared weights."""

    _supports_gradient_checkpointing = True
    network: type[Any]

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        self.networks = nn.ModuleList(self.network(config) for _ in (VIDEO, DEPTH))

    def compile_repeated_blocks(self, **options: Any) -> None:
        """Run the repeated blocks of both through `torch.compile`."""
        for network in self.networks:
            network.compile_repeated_blocks(**options)  # type: ignore[operator]


class SeparateControlNets(_Streams):
    """A pose ControlNet for each stream."""

    network = PoseControlNet

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        foreground_BTD: Tensor,
        pose_BFCHW: Tensor,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
    ) -> tuple[ControlResiduals, ...]:
        """As `PoseControlNet`, for each of the M streams."""
        return tuple(
            self.networks[label](
                latents, timesteps_B, foreground_BTD, pose_BFCHW, modalities=(label,)
            )
            for label, latents in zip(modalities, latents_BMFCHW.split(1, dim=1), strict=True)
        )


class SeparateUNets(_Streams):
    """A U-Net for each stream."""

    network = DualModalUNet

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
        """As `DualModalUNet`; `control` has an entry for each of the M streams."""
        outputs = [
            self.networks[label](
                latents_BMFCHW[:, i : i + 1],
                timesteps_B,
                foreground_BTD,
                background_BCHW,
                control[i] if control else None,
                modalities=(label,),
                return_features=return_features,
            )
            for i, label in enumerate(modalities)
        ]
        features = tuple(
            side_by_side(layers) for layers in zip(*(o.features for o in outputs), strict=True)
        )
        return DenoiserOutput(torch.cat([o.noise_pred_BMFCHW for o in outputs], dim=1), features)

    def seen(self, *inputs: Any) -> Tensor:
        """As of `DualModalUNet`, which takes no weights for it."""
        return self.networks[VIDEO].seen(*inputs)  # type: ignore[operator]


class SeparateDenoiser(DualModalDenoiser):
    """Two models without shared weights, which start alike."""

    part_classes: ClassVar[Parts] = Parts(SeparateUNets, SeparateControlNets, ForegroundProjection)

    @classmethod
    def from_unified(cls, unified: DualModalDenoiser) -> SeparateDenoiser:
        """Both streams start as the one model, as both of ours start from the same base."""
        separate = cls.from_config(unified.settings)
        separate.foreground_projection = unified.foreground_projection
        for name in ("unet", "controlnet"):
            for stream in getattr(separate, name).networks:
                stream.load_state_dict(getattr(unified, name).state_dict())
        return separate


def side_by_side(layers: tuple[ConsistencyFeatures, ...]) -> ConsistencyFeatures:
    """One layer's features of both streams, as one model of both gives them."""
    return ConsistencyFeatures(
        torch.cat([layer.motion_BMFHWC for layer in layers], dim=1),
        torch.cat([layer.queries_BMFhLD for layer in layers], dim=1),
        torch.cat([layer.keys_BMFhTD for layer in layers], dim=1),
    )
