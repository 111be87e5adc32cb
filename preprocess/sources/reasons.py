"""Reasons go into the dataset, whose bytes must not depend on where the source lies."""

import re
from pathlib import Path

__all__ = ["without_source"]

# What may stand before a path in a text; anything else is the beginning of the path's own name.
_BEFORE = r"(?<![^\s\"'`(\[{<,:;=])"


def without_source(text: str, source: Path) -> str:
    """The text with paths in the source as they are from there on."""
    return re.sub(f"{_BEFORE}{re.escape(f'{source}/')}", "", text)
