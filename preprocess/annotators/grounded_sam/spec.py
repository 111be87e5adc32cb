"""What is known of Grounded-SAM without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from preprocess.annotators.spec import Chosen, Hardware, Locate, Options, Spec
from preprocess.external_file import Checksum, ExternalFile, Hub, sha256_by

if TYPE_CHECKING:
    from preprocess.annotators.grounded_sam.annotator import GroundedSam

__all__ = ["BERT", "DETECTOR", "GROUNDED_SAM", "SAM", "GroundedSamOptions", "SamSize"]

SamSize = Literal["vit_h", "vit_l", "vit_b"]


@dataclass(frozen=True, kw_only=True)
class GroundedSamOptions(Options):
    sam: SamSize = "vit_h"
    """Size of SAM in grounded-sam."""
    smooth_masks: bool = False
    """Smooth masks of grounded-sam over time, where they flicker."""


def _sam(variant: SamSize, md5: str, size: int, sha256: str) -> ExternalFile:
    file = f"sam_{variant}_{md5}.pth"
    return ExternalFile(
        f"sam/{file}",
        f"Segment Anything, {variant.replace('vit_', 'ViT-').upper()}",
        Hub(
            "ybelkada/segment-anything",
            "7790786db131bcdc639f24a915d9f2c331d843ee",
            f"checkpoints/{file}",
        ),
        "Apache-2.0",
        size,
        (Checksum("md5", md5, "its file name"), *sha256_by(sha256)),
        alternative=True,
    )


SAM: dict[SamSize, ExternalFile] = {
    "vit_h": _sam(
        "vit_h",
        "4b8939",
        2564550879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    "vit_l": _sam(
        "vit_l",
        "0b3195",
        1249524607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_b": _sam(
        "vit_b",
        "01ec64",
        375042383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
}
DETECTOR = ExternalFile(
    "groundingdino/groundingdino_swint_ogc.pth",
    "GroundingDINO, Swin-T",
    Hub(
        "ShilongLiu/GroundingDINO",
        "a94c9b567a2a374598f05c584e96798a170c56fb",
        "groundingdino_swint_ogc.pth",
    ),
    "Apache-2.0",
    693997677,
    sha256_by("3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799"),
)


def _bert(file: str, what: str, size: int, sha256: str | None = None) -> ExternalFile:
    source = Hub("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", file)
    stated = sha256_by(sha256) if sha256 else ()
    return ExternalFile(f"bert/{file}", what, source, "Apache-2.0", size, stated)


# The folder of GroundingDINO's text encoder, whose weights are in the detector's own file.
BERT = (
    _bert("config.json", "BERT's shape", 570),
    _bert(
        "vocab.txt",
        "BERT's vocabulary",
        231508,
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    ),
    _bert("tokenizer.json", "BERT's tokenizer", 466062),
    _bert("tokenizer_config.json", "BERT's tokenizer", 48),
)


def _files(chosen: Chosen) -> tuple[ExternalFile, ...]:
    return (DETECTOR, *BERT, SAM[chosen.options.sam])


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> GroundedSam:
    from preprocess.annotators.grounded_sam import detector, segmenter
    from preprocess.annotators.grounded_sam.annotator import GroundedSam

    options, settings = chosen.options, chosen.settings
    bert = [locate(file) for file in BERT]
    found = detector.load_network(locate(DETECTOR), bert[0].parent)
    cut = segmenter.load_network(locate(SAM[options.sam]), options.sam)
    return GroundedSam(
        detector.Detector(found, hardware),
        segmenter.Segmenter(cut, hardware),
        people=settings.people,
        person=settings.person,
        smooth=options.smooth_masks,
    )


GROUNDED_SAM = Spec(
    name="grounded-sam",
    fills=("mask",),
    load=_load,
    options=GroundedSamOptions,
    files=(*SAM.values(), DETECTOR, *BERT),
    wanted=_files,
    packages=("groundingdino-py", "segment-anything", "torch", "torchvision", "transformers"),
    gpu=0.25,
    finds_people=True,
)
