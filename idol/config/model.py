"""The one configuration of the model: sizes of the base model, and the switches ablations need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from idol.config.checks import POSITIVE, ConfigError, at_least, mistakes_in
from idol.config.patches import PATCH, patch_of

__all__ = [
    "CLIP_STAGES",
    "DEPTH",
    "IMAGE_ENCODER_HEADS",
    "MODALITY_NAMES",
    "TIMESTEPS",
    "VIDEO",
    "Background",
    "BackgroundHole",
    "BackgroundInit",
    "ConsistencyLayers",
    "CrossModalPlacement",
    "DualModalUNetConfig",
    "MotionFeature",
    "PoseControl",
    "Prediction",
    "PresetName",
    "SharedMaps",
    "StageName",
    "Streams",
    "TemporalModules",
    "TemporalNorm",
    "Unconditional",
]

CrossModalPlacement = Literal["block_end", "layer_end", "none"]
MotionFeature = Literal["temporal_attention", "spatial_attention"]
ConsistencyLayers = Literal["last", "all"]
BackgroundInit = Literal["copy", "zero"]
BackgroundHole = Literal["grey", "filled"]
Prediction = Literal["noise", "v", "change"]
TemporalNorm = Literal["own", "cross_attention"]
Unconditional = Literal["zero_tokens", "zeroed_image"]
TemporalModules = Literal["own", "animatediff"]
PoseControl = Literal["controlnet", "t2i_adapter"]
Streams = Literal["shared", "separate", "coupled", "joint", "video"]
Background = Literal["latent", "controlnet"]
SharedMaps = Literal["none", "average", "video"]
StageName = Literal["pretrain", "image", "video", "distill", "autoencoder"]
PresetName = Literal["sd14", "tiny"]

# Stages whose model has temporal layers and takes clips.
CLIP_STAGES: tuple[StageName, ...] = ("video", "distill")

TIMESTEPS = 1000
"""That a model is trained with."""

IMAGE_ENCODER_HEADS = 4
"""Of preset tiny's image encoder; divides `DualModalUNetConfig.foreground_dim`."""

# Labels of the two streams, as the modality embedding counts them, and their names in logs.
VIDEO, DEPTH = 0, 1
MODALITY_NAMES = ("video", "depth")

# What there must be at least one of.
_Count = Annotated[int, at_least(1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DualModalUNetConfig:
    """Sizes and switches of the U-Net, its pose ControlNet and the foreground projection.

    The defaults are the paper's: Stable Diffusion 1.4 with every module of sec. 3.1. The switches
    below the sizes exist for ablations; `docs/method.md` says what each one changes.

    Attributes:
        latent_channels: channels of a latent, the same for video, depth, background and pose.
        block_out_channels: channels of each resolution level, finest first.
        attention_levels: which levels have attention (and so cross-modal attention).
        layers_per_block: (ResBlock, transformer) units of a down block; an up block has one more.
        attention_heads: heads of every attention; divides the channels of every level.
        head_channels: channels of a head of the 2D model's own attentions, in place of a number of
            heads: 64 in Stable Diffusion 2.1; 0: `attention_heads`.
        linear_projection: the 1x1 convolutions around a transformer are linear layers, as in Stable
            Diffusion 2.1.
        norm_groups: groups of every GroupNorm; divides the channels of every level.
        cross_attention_dim: channels of a foreground token as the U-Net reads it.
        foreground_dim: channels of a foreground token as the image encoder writes it.
        foreground_patch: pixels of the side of a patch of preset tiny's image encoder, which sees
            images of 64x64; CLIP has its own.
        foreground_depth: layers of preset tiny's image encoder; CLIP has its own.
        temporal_layers: temporal convolution and attention; off in the one-frame stages.
        temporal_modules: which those are: ours, or AnimateDiff's in the U-Net alone (Tab. 3), which
            `idol.variants` builds.
        motion_frames: the longest clip that AnimateDiff's modules know, in frames.
        motion_mid_block: whether the middle block has one of AnimateDiff's modules.
        pose_control: a ControlNet, or a T2I-Adapter (Tab. 3), which `idol.variants` builds.
        pose_downscale: pixels of a pose image's side for one of the latent's, of a T2I-Adapter.
        modality_embedding: the label y_v, y_d added to the time embedding.
        streams: one U-Net and ControlNet for both modalities (the paper), or one each (Tab. 4,
            first row), which may be coupled (MM-Diffusion); or one stream alone, whose latents hold
            colour and depth (`joint`, LDM3D) or no depth (`video`, DisCo). `idol.variants` builds
            what needs more than one U-Net.
        background: its latent added to the noise (the paper), or given to a ControlNet of its own
            (DisCo), which `idol.variants` builds.
        cross_modal_attention: at the end of each block with attention (the paper), after each
            of its layers, or nowhere (Tab. 4, second row).
        motion_feature: hidden states after temporal attention (Fig. 2) or after spatial
            self-attention (the text of sec. 3.2).
        consistency_layers: the last layer of each up block with attention, or all of them.
        group_norm_across_frames: statistics of the 2D GroupNorms over a whole clip (DisCo's way)
            and not per frame.
        temporal_norm: temporal attention normalises by a norm of its own, or by that of the
            cross-attention after it (DisCo's code).
        shared_maps: cross-attention of both streams with maps of their own (the paper), with the
            average of both, or with the video stream's (Tab. 8).
        unconditional: what the model is given in place of a foreground for guidance, in training
            and sampling: tokens of zeros, or what the image encoder makes of an image of zeros
            (DisCo's code).
        background_init: the background convolution starts as a copy of `conv_in` without bias
            (adds the latents) or as zero (the plain base model).
        background_hole: where the person was the background is mid grey, whose outline is the
            person's (the paper), or what surrounds them (`shards.stream.foreground.holed`).
        posed_foreground: the background under each frame shows the foreground's person too, limb by
            limb in the frame's pose (`shards.sample.posed`), in place of one background a clip.
        posed_depth: a model with a posed foreground is also shown the posed person's depth before
            white, as deep as their joints are taken to be (`shards.sample.lifting`), and depth's
            change is one from that.
        prediction: what the last convolution gives: the noise (the paper), v (Salimans and Ho,
            2022), or the change against the background (`idol.model.change`); of these two the
            model makes the noise.
        matte: of `change` in patches of 8x8 alone: the model also gives where the background's fine
            detail is covered.
        change_spread: standard deviation of the change in each latent channel, for `change` alone.
        posed_spread: a video's change from a background with the posed foreground, as a fraction
            of that.
        posed_depth_spread: depth's change from the posed person's, likewise.
        far_latent: each channel of the farthest depth's latent, for `change` alone.

    Raises:
        ConfigError: for a value outside its choices, or two settings that contradict each other.
    """

    latent_channels: _Count = 4
    block_out_channels: Annotated[tuple[int, ...], at_least(1)] = (320, 640, 1280, 1280)
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    layers_per_block: _Count = 2
    attention_heads: _Count = 8
    head_channels: Annotated[int, at_least(0)] = 0
    linear_projection: bool = False
    norm_groups: _Count = 32
    cross_attention_dim: _Count = 768
    foreground_dim: _Count = 1024
    foreground_patch: Annotated[int, at_least(1, 64)] = 16
    foreground_depth: _Count = 2

    temporal_layers: bool = True
    temporal_modules: TemporalModules = "own"
    motion_frames: _Count = 32
    motion_mid_block: bool = True
    pose_control: PoseControl = "controlnet"
    pose_downscale: _Count = 8
    modality_embedding: bool = True
    streams: Streams = "shared"
    background: Background = "latent"
    cross_modal_attention: CrossModalPlacement = "block_end"
    motion_feature: MotionFeature = "temporal_attention"
    consistency_layers: ConsistencyLayers = "last"
    group_norm_across_frames: bool = False
    temporal_norm: TemporalNorm = "own"
    shared_maps: SharedMaps = "none"
    unconditional: Unconditional = "zero_tokens"
    background_init: BackgroundInit = "copy"
    background_hole: BackgroundHole = "grey"
    posed_foreground: bool = False
    posed_depth: bool = False
    prediction: Prediction = "noise"
    matte: bool = False
    change_spread: Annotated[tuple[float, ...], POSITIVE] = ()
    posed_spread: Annotated[float, POSITIVE] = 0.3
    posed_depth_spread: Annotated[float, POSITIVE] = 0.5
    far_latent: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("block_out_channels", "attention_levels", "change_spread", "far_latent"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if mistakes := [f"{name} {fault}" for name, fault in mistakes_in(self)]:
            raise ConfigError("; ".join(mistakes))
        self._check_sizes()
        self._check_contradictions()

    @property
    def time_embed_dim(self) -> int:
        """Channels of the time and modality embeddings: four times the finest level."""
        return 4 * self.block_out_channels[0]

    @property
    def own_temporal_layers(self) -> bool:
        """Whether ResBlocks and transformers have the paper's temporal layers inside."""
        return self.temporal_layers and self.temporal_modules == "own"

    def heads(self, channels: int) -> int:
        """Heads of the 2D model's attentions at a level of so many channels."""
        return channels // self.head_channels if self.head_channels else self.attention_heads

    @property
    def modalities(self) -> tuple[int, ...]:
        """The labels of the streams that are denoised."""
        return (VIDEO,) if self.streams in ("joint", "video") else (VIDEO, DEPTH)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DualModalUNetConfig:
        """Build from a mapping such as a read `config.json`.

        Keys that start with an underscore are diffusers' own notes and are passed over.

        Raises:
            ConfigError: a key is not a setting, or the values contradict each other.
        """
        settings = {key: value for key, value in values.items() if not key.startswith("_")}
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(settings.keys() - known)
        if unknown:
            raise ConfigError(
                f"unknown setting {', '.join(unknown)}; the settings are {', '.join(sorted(known))}"
            )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain JSON values, the inverse of `from_dict`."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }

    def for_single_frames(self) -> DualModalUNetConfig:
        """The same model for the one-frame stages: temporal layers absent, norms per frame.

        What the cross-attention loss compares then comes without a feature after temporal layers.
        """
        return dataclasses.replace(
            self,
            temporal_layers=False,
            group_norm_across_frames=False,
            motion_feature="spatial_attention",
        )

    def _check_sizes(self) -> None:
        if not self.block_out_channels:
            raise ConfigError("block_out_channels is empty: name the channels of each level")
        if len(self.attention_levels) != len(self.block_out_channels):
            raise ConfigError(
                f"attention_levels has {len(self.attention_levels)} entries for "
                f"{len(self.block_out_channels)} levels in block_out_channels"
            )
        for channels in self.block_out_channels:
            for name in ("attention_heads", "norm_groups", "head_channels"):
                if channels % (getattr(self, name) or 1):
                    raise ConfigError(
                        f"{name}={getattr(self, name)} does not divide the {channels} channels "
                        "of a level"
                    )

    def _check_contradictions(self) -> None:
        wanted = self.latent_channels if self.prediction == "change" else 0
        for name in ("change_spread", "far_latent"):
            if (found := len(getattr(self, name))) != wanted:
                raise ConfigError(
                    f"{name} has {found} numbers, and prediction={self.prediction!r} takes "
                    f"{wanted}" + (", one a latent channel" if wanted else "")
                )
        if self.posed_depth and not (
            self.posed_foreground
            and self.prediction == "change"
            and self.streams == "shared"
            and self.background == "latent"
        ):
            raise ConfigError(
                "posed_depth=True is where the depth of a posed foreground changes from: set "
                "posed_foreground=True, prediction='change', streams='shared' and "
                "background='latent'"
            )
        if self.matte:
            if self.prediction != "change":
                raise ConfigError(
                    f"matte=True covers the origin of prediction='change', and "
                    f"prediction={self.prediction!r} has none: leave one of them out"
                )
            if patch_of(self.latent_channels) == PATCH:
                raise ConfigError(
                    f"matte=True covers what is finer than patches of {PATCH}x{PATCH} have, and "
                    "these are: take larger ones (--patch 8), or leave it out"
                )
        if not any(self.attention_levels) and self.cross_modal_attention != "none":
            raise ConfigError(
                f"cross_modal_attention={self.cross_modal_attention!r} sits in blocks with "
                "attention, and attention_levels turns attention off everywhere; "
                "set cross_modal_attention='none'"
            )
        if self.group_norm_across_frames and not self.temporal_layers:
            raise ConfigError(
                "group_norm_across_frames=True shares statistics between the frames of a clip, "
                "and temporal_layers=False builds the one-frame model; turn one of them round"
            )
        if self.streams != "shared":
            if self.cross_modal_attention != "none" or self.shared_maps != "none":
                raise ConfigError(
                    f"streams={self.streams!r} have no U-Net in which both streams meet: set "
                    "cross_modal_attention='none' and shared_maps='none'"
                )
            if self.modality_embedding:
                raise ConfigError(
                    f"streams={self.streams!r} need no label: set modality_embedding=False"
                )
        elif self.cross_modal_attention == "none" and not self.modality_embedding:
            raise ConfigError(
                "modality_embedding=False with cross_modal_attention='none' leaves one function "
                "for both modalities and no path between them: depth could not be told from "
                "video; keep one of the two"
            )
