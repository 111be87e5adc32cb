"""The annotators' options, as `idol-generate` takes them."""

from dataclasses import dataclass
from typing import Any, get_type_hints

from idol.config.checks import ConfigError
from preprocess.annotators.choices import AnnotatorChoice
from shards.options import Given, options_of

__all__ = ["Annotation", "annotation", "annotator_options"]

# What is of datasets alone: a photo and a driving video have no depth annotated, and are looked at
# whole.
_NOT_ASKED = ("depth", "normals", "flow", "densepose", "crop", "people", "grey")


def annotator_options() -> dict[str, Any]:
    """Types of the options by name, with their help."""
    hints = get_type_hints(options_of(AnnotatorChoice), include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in _NOT_ASKED}


_SOURCE = "source"


@dataclass(frozen=True)
class Annotation:
    """Who annotates photos and driving videos, and what was `asked` for of it, as plain JSON."""

    choice: AnnotatorChoice
    asked: Given


def annotation(given: Given) -> Annotation:
    """Of the options that are given. Raises ConfigError with what cannot be combined."""
    choice = AnnotatorChoice(**{"depth": ("none",), **given})
    mistakes = list(choice.mistakes())
    if choice.mask == _SOURCE:
        mistakes.append("mask source is for datasets: give a photo's own mask as --person-mask")
    if choice.pose == _SOURCE:
        mistakes.append("pose source is for rendered people: a photo has no key points of its own")
    if mistakes:
        raise ConfigError("; ".join(f"--{mistake}" for mistake in mistakes))
    return Annotation(choice, dict(given))
