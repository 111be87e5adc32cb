"""The systems of the paper's tables, each a named configuration: `idol-train --variant NAME`.

`VARIANTS` is the one table. What differs from the paper's model by more than settings has a file
here, named after its idea. A model's folder records its variant, and whatever reads it obeys.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from idol.config.checks import ConfigError
from idol.config.model import StageName
from idol.variants.variant import Adapter, Variant

if TYPE_CHECKING:
    from idol.model import DualModalDenoiser

__all__ = ["VARIANTS", "Variant", "denoiser_class", "variant_called"]


def _separate_unets() -> type[DualModalDenoiser]:
    from idol.variants.separate_unets import SeparateDenoiser

    return SeparateDenoiser


def _animatediff() -> type[DualModalDenoiser]:
    from idol.variants.animatediff import AnimateDiffDenoiser

    return AnimateDiffDenoiser


def _load_motion_adapter(denoiser: DualModalDenoiser, folder: Path) -> None:
    from idol.variants.animatediff import load_motion_adapter

    load_motion_adapter(denoiser, folder)


def _t2i_adapter() -> type[DualModalDenoiser]:
    from idol.variants.t2i_adapter import AdapterDenoiser

    return AdapterDenoiser


def _animatediff_t2i_adapter() -> type[DualModalDenoiser]:
    from idol.variants.t2i_adapter import AnimateDiffAdapterDenoiser

    return AnimateDiffAdapterDenoiser


def _load_pose_adapter(denoiser: DualModalDenoiser, folder: Path) -> None:
    from idol.variants.t2i_adapter import load_pose_adapter

    load_pose_adapter(denoiser, folder)


_MOTION = {"motion_adapter": Adapter("video", _load_motion_adapter)}
_POSE = {"pose_adapter": Adapter("image", _load_pose_adapter)}


def _mm_diffusion() -> type[DualModalDenoiser]:
    from idol.variants.mm_diffusion import MMDiffusionDenoiser

    return MMDiffusionDenoiser


def _disco() -> type[DualModalDenoiser]:
    from idol.variants.disco import DiscoDenoiser

    return DiscoDenoiser


# Tables 4 and 5 add one part after another: each row has all that the rows above it have.
_NO_LOSSES = {"motion_weight": 0.0, "cross_attention_weight": 0.0}

# What the first author's nearest code does otherwise (docs/method.md).
_ZEROED_IMAGE = {"unconditional": "zeroed_image"}
_SHARED_NORM = {"temporal_norm": "cross_attention"}
_ALL_LAYERS = {"consistency_layers": "all"}
_OVER_FRAMES = {"motion_divisor": "frames"}
_BLOCKS_ALONE = {"pretrained_layers": "transformer_blocks"}
_NO_CLIP = {"clip": 0.0}
_ONE_DRAW = {"dropout_draw": "batch"}

VARIANTS: dict[str, Variant] = {
    "idol": Variant(
        summary="the paper's model: shared U-Net, cross-modal attention, both losses, HAOP",
        row="Tab. 1-8, IDOL",
        parameters="1.41B",
    ),
    "ldm3d": Variant(
        summary="one stream, whose latents hold colour and depth (--vae of four channels)",
        row="Tab. 1, 2 and 7, LDM3D",
        model={
            "streams": "joint",
            "cross_modal_attention": "none",
            "modality_embedding": False,
        },
        loss=_NO_LOSSES,
        parameters="1.61B",
    ),
    "mm-diffusion": Variant(
        summary="two U-Nets, coupled by random-shift cross-attention",
        row="Tab. 1, 2 and 7, MM-Diffusion",
        model={
            "streams": "coupled",
            "cross_modal_attention": "none",
            "modality_embedding": False,
        },
        loss=_NO_LOSSES,
        denoiser=_mm_diffusion,
        parameters="2.78B",
    ),
    "disco": Variant(
        summary="video alone, its background by a second ControlNet; depth is estimated from it",
        row="Tab. 1 and 2, DisCo",
        model={
            "streams": "video",
            "background": "controlnet",
            "cross_modal_attention": "none",
            "modality_embedding": False,
        },
        loss=_NO_LOSSES,
        pretraining="hap",
        denoiser=_disco,
    ),
    "separate-unets": Variant(
        summary="a U-Net and a ControlNet for each of video and depth",
        row="Tab. 4, row 1",
        model={
            "streams": "separate",
            "cross_modal_attention": "none",
            "modality_embedding": False,
        },
        loss=_NO_LOSSES,
        denoiser=_separate_unets,
        parameters="2 x 1.39B",
    ),
    "shared-unet": Variant(
        summary="one U-Net for both, without cross-modal attention",
        row="Tab. 4, row 2",
        model={"cross_modal_attention": "none"},
        loss=_NO_LOSSES,
        parameters="1.39B",
    ),
    "cross-modal-attention": Variant(
        summary="cross-modal attention, without consistency losses",
        row="Tab. 4, row 3; Tab. 5, row 1; Tab. 8, row 1",
        loss=_NO_LOSSES,
        parameters="1.41B",
    ),
    "cross-attention-loss": Variant(
        summary="the cross-attention map consistency loss alone",
        row="Tab. 5, row 2; Tab. 8, row 4",
        loss={"motion_weight": 0.0},
    ),
    "motion-loss": Variant(
        summary="the motion consistency loss alone",
        row="Tab. 5, the row that it leaves out",
        loss={"cross_attention_weight": 0.0},
    ),
    "animatediff": Variant(
        summary="AnimateDiff's motion modules in place of our temporal layers",
        row="Tab. 3, row 2",
        model={"temporal_modules": "animatediff"},
        poses="openpose",
        denoiser=_animatediff,
        adapters=_MOTION,
    ),
    "dwpose-animatediff": Variant(
        summary="the same from DWPose skeletons, with faces and hands",
        row="Tab. 3, row 3",
        model={"temporal_modules": "animatediff"},
        poses="dwpose",
        denoiser=_animatediff,
        adapters=_MOTION,
    ),
    "dwpose-animatediff-t2i": Variant(
        summary="the same with a T2I-Adapter in place of the ControlNet",
        row="Tab. 3, row 4",
        model={"temporal_modules": "animatediff", "pose_control": "t2i_adapter"},
        poses="dwpose",
        denoiser=_animatediff_t2i_adapter,
        adapters=_MOTION | _POSE,
    ),
    "dwpose": Variant(
        summary="DWPose skeletons alone",
        row="of Tab. 3 the part in row 3",
        poses="dwpose",
    ),
    "t2i-adapter": Variant(
        summary="a T2I-Adapter for poses alone",
        row="of Tab. 3 the part in row 4",
        model={"pose_control": "t2i_adapter"},
        denoiser=_t2i_adapter,
        adapters=_POSE,
    ),
    "no-pretraining": Variant(
        summary="fine-tuned from Stable Diffusion itself",
        row="Tab. 6, row 1",
        pretraining="none",
    ),
    "hap": Variant(
        summary="pre-trained without outpainting, as DisCo",
        row="Tab. 6, row 2",
        pretraining="hap",
    ),
    "average-maps": Variant(
        summary="both streams attend with the average of their cross-attention maps",
        row="Tab. 8, row 2",
        model={"shared_maps": "average"},
        loss=_NO_LOSSES,
    ),
    "video-maps": Variant(
        summary="both streams attend with the video's cross-attention maps",
        row="Tab. 8, row 3",
        model={"shared_maps": "video"},
        loss=_NO_LOSSES,
    ),
    "author-code": Variant(
        summary="all that the first author's code in DisCo does otherwise",
        row="docs/method.md",
        model=_ZEROED_IMAGE | _SHARED_NORM | _ALL_LAYERS,
        loss=_OVER_FRAMES,
        optimizer=_BLOCKS_ALONE | _NO_CLIP | _ONE_DRAW,
    ),
    "author-unconditional": Variant(
        summary="CLIP of an image of zeros is the branch without a foreground",
        row="docs/method.md",
        model=_ZEROED_IMAGE,
    ),
    "author-temporal-norm": Variant(
        summary="temporal attention is given the cross-attention's norm",
        row="docs/method.md",
        model=_SHARED_NORM,
    ),
    "author-pretrained-layers": Variant(
        summary="pre-training trains transformer blocks alone",
        row="docs/method.md",
        optimizer=_BLOCKS_ALONE,
    ),
    "author-compared-layers": Variant(
        summary="the losses compare all layers of the up blocks",
        row="docs/method.md; the project page's Fig. 3",
        model=_ALL_LAYERS,
    ),
    "author-no-clip": Variant(
        summary="gradients are not clipped",
        row="docs/method.md",
        optimizer=_NO_CLIP,
    ),
    "author-one-draw": Variant(
        summary="a process's whole batch loses its foreground, or none of it",
        row="docs/method.md",
        optimizer=_ONE_DRAW,
    ),
    "author-over-frames": Variant(
        summary="Eq. 5 divides by L, as printed",
        row="docs/method.md; Eq. 5",
        loss=_OVER_FRAMES,
    ),
}


def variant_called(name: str) -> Variant:
    """The variant of this name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name not in VARIANTS:
        names = ", ".join(VARIANTS)
        raise ConfigError(f"there is no variant {name!r}: --variant is one of {names}")
    return VARIANTS[name]


def denoiser_class(variant: str, stage: StageName) -> type[DualModalDenoiser]:
    """The class of a variant's model in a stage; pre-training trains the paper's in all of them.

    Raises:
        ConfigError: there is no such variant.
    """
    kind = variant_called(variant)
    return VARIANTS["idol"].denoiser() if stage == "pretrain" else kind.denoiser()
