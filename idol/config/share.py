"""`--share I/N`: which part of the work is this process's, of N that do it together."""

import re
from collections.abc import Iterator

__all__ = ["ALL", "divided", "mistakes_of"]

ALL = "0/1"


def mistakes_of(share: str) -> Iterator[str]:
    """What is wrong with a share."""
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", share)
    if match is None or not int(match[1]) < int(match[2]):
        yield f"--share must be I/N with I from 0 to N - 1, such as 0/4, not {share!r}"


def divided(share: str) -> slice:
    """Every N-th from the I-th on."""
    index, _, count = share.partition("/")
    return slice(int(index), None, int(count))
