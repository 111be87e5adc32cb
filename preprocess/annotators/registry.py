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
from preprocess.annotators.source.spec import SOURCE
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
    DENSEPOSE,
    LITE_DEPTH,
    HDNET,
    MIDAS,
    HUGGING_FACE,
)

OPTIONS: tuple[type[Options], ...] = tuple(s.options for s in ANNOTATORS if s.options)

FILES: tuple[ExternalFile, ...] = tuple(
    dict.fromkeys(file for spec in ANNOTATORS for file in spec.files)
)

NONE = "none"  # in the place of a name: nobody makes it


def named(option: str) -> tuple[str, ...]:
    """What an option ("mask", "pose", "depth") may say, as help and messages show it."""
    return (*(_named(spec) for spec in ANNOTATORS if spec.option == option), NONE)


def find(option: str, text: str) -> tuple[Spec, str] | None:
    """The annotator that `text` names there, and its parameter; None for an unknown one.

    `text`: NAME, or NAME:PARAMETER for those that take one, as in "hf:depth-anything/...".
    """
    name, _, parameter = text.partition(":")
    for spec in ANNOTATORS:
        if spec.option == option and spec.name == (name if spec.parameter else text):
            parameter = parameter or spec.default
            return (spec, parameter) if parameter or not spec.parameter else None
    return None


def _named(spec: Spec) -> str:
    if spec.parameter is None:
        return spec.name
    return f"{spec.name}[:{spec.parameter}]" if spec.default else f"{spec.name}:{spec.parameter}"
