"""Steps whose loss or gradient is not finite are skipped, counted, and not too many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

__all__ = ["Progress", "is_finite"]


def is_finite(values: Sequence[float]) -> bool:
    """Whether a step may change the weights."""
    return all(math.isfinite(value) for value in values)


@dataclasses.dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        skipped, skipped_in_row: how many of them were skipped, in all and just now.
        saved: the step of the newest checkpoint; 0 if there is none.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    saved: int = 0

    @property
    def needs_saving(self) -> bool:
        """Whether there is no checkpoint with these weights."""
        return not self.saved or self.step - self.saved > self.skipped_in_row

    def count(self, *, taken: bool) -> None:
        """Count a step that was taken, or skipped."""
        self.step += 1
        self.skipped += not taken
        self.skipped_in_row = 0 if taken else self.skipped_in_row + 1
