"""What is known of ViTPose without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.huggingface.model_folder import HubModels
from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec

if TYPE_CHECKING:
    from preprocess.annotators.vitpose.annotator import VitPose

__all__ = ["VITPOSE"]

_MODELS = HubModels("--pose vitpose")


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> VitPose:
    from preprocess.annotators.vitpose.annotator import PoseModel, VitPose

    return VitPose(
        PoseModel.load(_MODELS.folder(chosen.parameter), hardware),
        chosen.settings,
    )


VITPOSE = Spec(
    name="vitpose",
    fills=("pose",),
    load=_load,
    packages=("huggingface-hub", "scipy", "torch", "torchvision", "transformers"),
    parameter="MODEL_OR_FOLDER",
    default="usyd-community/vitpose-base-simple",
    checksums=_MODELS.checksums,
    called=_MODELS.called,
    gpu=0.1,
    needs_boxes=True,
)
