"""What is known of Hugging Face depth models without loading one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.huggingface.model_folder import HubModels
from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec

if TYPE_CHECKING:
    from preprocess.annotators.whole_frame import WholeFrameDepth

__all__ = ["HUGGING_FACE"]

_MODELS = HubModels("--depth hf")


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> WholeFrameDepth:
    from preprocess.annotators.huggingface.network import DepthModel
    from preprocess.annotators.whole_frame import WholeFrameDepth

    network = DepthModel.load(_MODELS.folder(chosen.parameter), hardware)
    return WholeFrameDepth(
        label=f"{chosen.name} ({network.kind}), estimated from single images",
        unit=network.unit,
        estimate=network,
    )


HUGGING_FACE = Spec(
    name="hf",
    fills=("depth_frame",),
    load=_load,
    packages=("huggingface-hub", "torch", "transformers"),
    parameter="MODEL_OR_FOLDER",
    checksums=_MODELS.checksums,
    called=_MODELS.called,
    gpu=0.15,
)
