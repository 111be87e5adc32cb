"""Everything that is trained, as one module: projection, pose ControlNet and U-Net.

Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch._dynamo
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (pipelines look for it here)
from torch import Tensor, nn

from idol.config.checks import ConfigError
from idol.config.model import DEPTH, VIDEO, DualModalUNetConfig
from idol.model.controlnet import PoseControlNet
from idol.model.saving import ConfiguredModel, raise_if_different
from idol.model.unet import DenoiserOutput, DualModalUNet

__all__ = ["DualModalDenoiser", "ForegroundProjection", "Parts", "is_temporal"]


_TEMPORAL = (".temporal_conv.", ".temporal.", ".motion_modules.")


class ForegroundProjection(ConfiguredModel):
    """Linear(1024 -> 768) without bias on all CLIP tokens, the CLIP(f) of sec. 3.1.

    `from_pretrained_2d` initialises it from CLIP's `visual_projection`, which CLIP itself applies
    to the class token alone. The image encoder before it is frozen and lives outside.
    """

    def __init__(self, config: DualModalUNetConfig) -> None:
        super().__init__(config)
        self.linear = nn.Linear(config.foreground_dim, config.cross_attention_dim, bias=False)

    def forward(self, encoded_BTD: Tensor) -> Tensor:
        """(B, T, foreground_dim) from the encoder, normalised, to (B, T, cross_attention_dim)."""
        return self.linear(encoded_BTD)


class Parts(NamedTuple):
    """The classes of a denoiser's parts; each is built from one `DualModalUNetConfig`."""

    unet: type[Any]
    controlnet: type[Any]
    foreground_projection: type[Any]


class DualModalDenoiser(nn.Module):
    """The whole of Fig. 2, left: from noisy latents and conditions to the noise of both streams.

    A variant of the model (`idol.variants`) is a subclass with other classes of parts.

    Attributes:
        unet, controlnet, foreground_projection: its parts, diffusers models each.
        part_classes: the class of each.
    """

    part_classes: ClassVar[Parts] = Parts(DualModalUNet, PoseControlNet, ForegroundProjection)

    def __init__(
        self,
        unet: DualModalUNet,
        controlnet: PoseControlNet,
        foreground_projection: ForegroundProjection,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.controlnet = controlnet
        self.foreground_projection = foreground_projection

    @property
    def settings(self) -> DualModalUNetConfig:
        """The configuration that all parts share."""
        return self.unet.settings

    @classmethod
    def from_config(cls, config: DualModalUNetConfig) -> Self:
        """Build all parts freshly initialised; the ControlNet starts as the U-Net's encoder."""
        denoiser = cls(*(part(config) for part in cls.part_classes))
        denoiser.copy_encoder_to_controlnet()
        return denoiser

    @classmethod
    def from_unified(cls, unified: DualModalDenoiser) -> DualModalDenoiser:
        """Start as the paper's model with the same settings.

        Parts of another class take over what has the same names, and are fresh in all else.
        """
        parts: list[Any] = []
        for part, kind in zip(unified.children(), cls.part_classes, strict=True):
            if type(part) is kind:
                parts.append(part)
            else:
                other = kind(unified.settings)
                other.load_state_dict(part.state_dict(), strict=False)
                parts.append(other)
        return cls(*parts)

    # ControlNet "adds a copy of the U-Net down and middle blocks" (sec. 3, preliminaries).
    def copy_encoder_to_controlnet(self) -> None:
        """Overwrite the ControlNet's encoder with the U-Net's; its zero convolutions stay."""
        own = self.controlnet.state_dict()
        shared = {key: value for key, value in self.unet.state_dict().items() if key in own}
        self.controlnet.load_state_dict(shared, strict=False)

    def forward(
        self,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        encoded_foreground_BTD: Tensor,
        background_BCHW: Tensor,
        pose_BFCHW: Tensor | None = None,
        *,
        modalities: tuple[int, ...] = (VIDEO, DEPTH),
        return_features: bool = False,
    ) -> DenoiserOutput:
        """Predict noise as `DualModalUNet` does, conditions included.

        Args:
            encoded_foreground_BTD: tokens as the image encoder wrote them (`foreground_dim`).
            pose_BFCHW: pose latents; without them the ControlNet is left out (pre-training).
            latents_BMFCHW, timesteps_B, background_BCHW, modalities, return_features: as for
                `DualModalUNet`.
        """
        tokens_BTD = self.foreground_projection(encoded_foreground_BTD)
        control = None
        if pose_BFCHW is not None:
            seen_BMFCHW = self.unet.seen(latents_BMFCHW, timesteps_B, background_BCHW, modalities)
            hints = [pose_BFCHW]
            if self.settings.background == "controlnet":
                hints.append(background_BCHW.to(pose_BFCHW.dtype))
            control = self.controlnet(
                seen_BMFCHW, timesteps_B, tokens_BTD, *hints, modalities=modalities
            )
        return self.unet(
            latents_BMFCHW,
            timesteps_B,
            tokens_BTD,
            background_BCHW,
            control,
            modalities=modalities,
            return_features=return_features,
        )

    def with_temporal_layers(self, config: DualModalUNetConfig) -> DualModalDenoiser:
        """Continue a one-frame model as a video model: the step from fine-tune 1 to fine-tune 2.

        Args:
            config: the video model's; in all but temporal settings equal to this model's.

        Returns:
            A new model with these weights and fresh temporal layers, which start as identities.

        Raises:
            ConfigError: the two configurations differ in more than the temporal layers.
        """
        if config.for_single_frames() != self.settings.for_single_frames():
            raise ConfigError("the video model's settings differ in more than the temporal layers")
        video_model = type(self).from_config(config)
        video_model.to(self.unet.device, self.unet.dtype)
        result = video_model.load_state_dict(self.state_dict(), strict=False)
        missing = [key for key in result.missing_keys if not is_temporal(key)]
        raise_if_different(
            "the video model", "the image model", missing=missing, extra=result.unexpected_keys
        )
        return video_model

    def enable_gradient_checkpointing(self) -> None:
        """Keep only the inputs of each layer for backward and recompute the rest."""
        self.unet.enable_gradient_checkpointing()
        self.controlnet.enable_gradient_checkpointing()

    def compile_repeated_blocks(self, **options: Any) -> None:
        """Run ResBlocks, transformers and cross-modal attention through `torch.compile`.

        Args:
            options: of `torch.compile`; shapes are static unless `dynamic` is given.
        """
        options.setdefault("dynamic", False)
        # One code object serves every resolution and width, more than dynamo's limit of eight.
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        self.unet.compile_repeated_blocks(**options)
        self.controlnet.compile_repeated_blocks(**options)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write one sub-folder a part: `unet`, `controlnet`, `foreground_projection`."""
        for name in Parts._fields:
            getattr(self, name).save_pretrained(Path(folder) / name)

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], **options: Any) -> Self:
        """Load what `save_pretrained` wrote.

        Raises:
            CheckpointError: a part's weights do not fit its configuration.
            ConfigError: a part's configuration is invalid, or the parts disagree.
            OSError: the folder or a part in it does not exist.
        """
        folder = Path(folder)
        parts = [
            kind.from_pretrained(folder / name, **options)
            for name, kind in cls.part_classes._asdict().items()
        ]
        if any(part.settings != parts[0].settings for part in parts):
            names = ", ".join(Parts._fields)
            raise ConfigError(f"the config.json files of {names} in {folder} differ")
        return cls(*parts)


def is_temporal(parameter_name: str) -> bool:
    """Whether a parameter belongs to a temporal convolution or attention, or a motion module."""
    return any(part in parameter_name for part in _TEMPORAL)
