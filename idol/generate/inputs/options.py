"""The annotators' options, as `idol-generate` takes them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from idol.config.checks import ConfigError
from idol.config.generate import GenerateConfig, is_clip
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import ANNOTATORS
from shards.options import Given, options_of

__all__ = ["Annotation", "annotation", "annotator_options", "check_used", "unused"]

# What is of datasets alone: a photo and a driving video have no depth annotated, and are looked at
# whole.
_NOT_ASKED = ("depth", "normals", "flow", "densepose", "crop", "people", "grey")
# What is of the photo's mask alone.
_OF_MASKS = (
    "mask",
    *(f.name for s in ANNOTATORS if s.option == "mask" and s.options for f in fields(s.options)),
)
_OF_DRAWING = "pose_style"  # of all key points, whoever found them


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


def unused(photo: str, driving: str | None, *, masked: bool) -> dict[str, str]:
    """The options of annotators that change nothing, and why.

    Args:
        photo, driving: as `GenerateConfig` has them.
        masked: whether the photo's mask is given.
    """
    looks_at_photo = not is_clip(photo)
    looks_at_driving = (
        driving is not None and not is_clip(driving) and Path(driving).suffix.lower() != ".npy"
    )
    if not looks_at_photo and not looks_at_driving:
        why = "nothing is annotated, where neither a photo nor a driving video is given"
        return {name: why for name in annotator_options() if name != _OF_DRAWING}
    if not looks_at_photo:
        return dict.fromkeys(_OF_MASKS, "a clip has its own mask")
    return dict.fromkeys(_OF_MASKS, "--person-mask gives the mask") if masked else {}


def check_used(config: GenerateConfig, annotators: Annotation) -> None:
    """Raise ConfigError naming what is asked for of annotators and changes nothing: the video would
    be taken for another one than that without it."""
    why = unused(config.photo, config.driving, masked=config.person_mask is not None)
    mistakes = [
        f"{_as_typed(name, value)} is not used: {why[name]}: leave it out"
        for name, value in annotators.asked.items()
        if name in why
    ]
    if mistakes:
        raise ConfigError("; ".join(mistakes))


def _as_typed(name: str, value: Any) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {value}"
