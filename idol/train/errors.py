"""What stops a training run with one clear message."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DivergedError", "TrainError", "raise_if_any"]


class TrainError(Exception):
    """Base of the errors meant for a user: what happened, to what, and what to do."""


class DivergedError(TrainError):
    """Too many steps in a row, up to `step`, had a loss or gradient that was not finite."""

    def __init__(self, in_row: int, step: int, keys: Sequence[str]) -> None:
        super().__init__(
            f"{in_row} steps in a row had a loss or gradient that is not finite, up to step "
            f"{step}, whose clips are {', '.join(keys)}. The checkpoint of this step has the "
            "weights before them. Lower --learning-rate, use --mixed-precision bf16 and not fp16, "
            "or look at these clips with `idol-shards show`; --max-skipped raises the limit"
        )


def raise_if_any(mistakes: Sequence[str], what: str) -> None:
    """Raise a TrainError that lists all mistakes, if there are any."""
    if mistakes:
        raise TrainError(f"{what}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
