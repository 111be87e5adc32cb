"""The annotators, listed: recipes, options, weights, records and GPU fractions read from here."""

from preprocess.annotators.densepose.spec import DENSEPOSE
from preprocess.annotators.dwpose.spec import DWPOSE
from preprocess.annotators.grounded_sam.spec import GROUNDED_SAM
from preprocess.annotators.hdnet.spec import HDNET
from preprocess.annotators.huggingface.spec import HUGGING_FACE
from preprocess.annotators.lite.spec import LITE_DEPTH, LITE_MASK, LITE_PERSON, LITE_POSE
from preprocess.annotators.midas.spec import MIDAS
from preprocess.annotators.openpose.spec import OPENPOSE
from preprocess.annotators.sam3.spec import SAM3
from preprocess.annotators.source.spec import (
    SOURCE,
    SOURCE_DEPTH_FRAME,
    SOURCE_DEPTH_PERSON,
    SOURCE_FLOW,
    SOURCE_NORMALS,
    SOURCE_POSE,
)
from preprocess.annotators.spec import Options, Spec
from preprocess.annotators.vitpose.spec import VITPOSE
from preprocess.external_file import ExternalFile

__all__ = ["ANNOTATORS", "FILES", "NONE", "OPTIONS", "find", "named"]

ANNOTATORS: tuple[Spec, ...] = (
    LITE_PERSON,
    LITE_MASK,
    GROUNDED_SAM,
    SAM3,
    SOURCE,
    LITE_POSE,
    OPENPOSE,
    DWPOSE,
    VITPOSE,
    SOURCE_POSE,
    DENSEPOSE,
    LITE_DEPTH,
    HDNET,
    MIDAS,
    SOURCE_DEPTH_PERSON,
    SOURCE_DEPTH_FRAME,
    HUGGING_FACE,
    SOURCE_NORMALS,
    SOURCE_FLOW,
)

OPTIONS: tuple[type[Options], ...] = tuple(s.options for s in ANNOTATORS if s.options)

FILES: tuple[ExternalFile, ...] = tuple(
    dict.fromkeys(file for spec in ANNOTATORS for file in spec.files)
)

NONE = "none"  # in the place of a name: nobody makes it


def named(option: str) -> tuple[str, ...]:
    """What an option ("mask", "pose", "depth") may say, as help and messages show it."""
    names = dict.fromkeys(_named(spec) for spec in ANNOTATORS if spec.option == option)
    return (*names, NONE)


def find(option: str, text: str) -> tuple[tuple[Spec, str], ...]:
    """The annotators that `text` names there, each with its parameter; none for an unknown one.

    `text`: NAME, or NAME:PARAMETER for those that take one, as in "hf:depth-anything/...". Those
    of one name make one modality each.
    """
    name, _, parameter = text.partition(":")
    found = []
    for spec in ANNOTATORS:
        if spec.option == option and spec.name == (name if spec.parameter else text):
            given = parameter or spec.default
            if given or not spec.parameter:
                found.append((spec, given))
    return tuple(found)


def _named(spec: Spec) -> str:
    if spec.parameter is None:
        return spec.name
    return f"{spec.name}[:{spec.parameter}]" if spec.default else f"{spec.name}:{spec.parameter}"
