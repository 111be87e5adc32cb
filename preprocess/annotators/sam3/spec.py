"""What is known of SAM 3 without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.huggingface.model_folder import HubModels
from preprocess.annotators.spec import Chosen, Hardware, Locate, Spec

if TYPE_CHECKING:
    from preprocess.annotators.sam3.annotator import Sam3

__all__ = ["SAM3"]

_MODELS = HubModels(
    "--mask sam3",
    (
        "processor_config.json",
        "video_preprocessor_config.json",
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("vocab.json", "merges.txt"),
    ),
)


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> Sam3:
    from preprocess.annotators.sam3.annotator import Sam3, VideoSegmenter

    settings = chosen.settings
    return Sam3(
        VideoSegmenter.load(_MODELS.folder(chosen.parameter), hardware),
        people=settings.people,
        person=settings.person,
    )


SAM3 = Spec(
    name="sam3",
    fills=("mask",),
    load=_load,
    notice=(
        "SAM 3 comes under Meta's SAM License (LICENSE in github.com/facebookresearch/sam3): it "
        "forbids military, nuclear and espionage uses and those for weapons, and wants "
        "publications of research with it to acknowledge SAM 3."
    ),
    packages=("huggingface-hub", "torch", "torchvision", "transformers"),
    parameter="MODEL_OR_FOLDER",
    default="facebook/sam3",
    checksums=_MODELS.checksums,
    called=_MODELS.called,
    gpu=0.25,
    finds_people=True,
)
