"""The systems of the paper's tables, each a named configuration: `idol-train --variant NAME`.

`VARIANTS` is the one table. What differs from the paper's model by more than settings has a file
here, named after its idea. A model's folder records its variant, and whatever reads it obeys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from idol.config.checks import ConfigError
from idol.config.model import StageName
from idol.variants.variant import Variant

if TYPE_CHECKING:
    from idol.model import DualModalDenoiser

__all__ = ["VARIANTS", "Variant", "denoiser_class", "variant_called"]


def _separate_unets() -> type[DualModalDenoiser]:
    from idol.variants.separate_unets import SeparateDenoiser

    return SeparateDenoiser


# Tables 4 and 5 add one part after another: each row has all that the rows above it have.
_NO_LOSSES = {"motion_weight": 0.0, "cross_attention_weight": 0.0}

VARIANTS: dict[str, Variant] = {
    "idol": Variant(
        summary="the paper's model: shared U-Net, cross-modal attention, both losses, HAOP",
        row="Tab. 1-8, IDOL",
        parameters="1.41B",
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
