"""What stops a training run with one clear message."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DivergedError", "TrainError", "raise_if_any"]


class TrainError(Exception):
    """Base of the errors meant for a user: what happened, to what, and what to do."""


class DivergedError(TrainError):
    """Too many steps were skipped because a loss or a gradient was not finite."""


def raise_if_any(mistakes: Sequence[str], what: str) -> None:
    """Raise a TrainError that lists all mistakes, if there are any."""
    if mistakes:
        raise TrainError(f"{what}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
