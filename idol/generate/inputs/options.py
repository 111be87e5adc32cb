"""The annotators' options, as `idol-generate` takes them."""

from typing import Any, get_type_hints

from preprocess.annotators.choices import AnnotatorChoice
from shards.options import Given, options_of

__all__ = ["annotator_choice", "annotator_options"]

# What is of datasets alone: a photo and a driving video have no depth annotated, and are looked at
# whole.
_NOT_ASKED = ("depth", "normals", "flow", "densepose", "crop", "people", "grey")


def annotator_options() -> dict[str, Any]:
    """Types of the options by name, with their help."""
    hints = get_type_hints(options_of(AnnotatorChoice), include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in _NOT_ASKED}


def annotator_choice(given: Given) -> AnnotatorChoice:
    """The choice of what is given of them. Raises ValueError with what cannot be combined."""
    choice = AnnotatorChoice(**{"depth": ("none",), **given})
    if mistakes := list(choice.mistakes()):
        raise ValueError("; ".join(f"--{m.replace('_', '-', 1)}" for m in mistakes))
    return choice
