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
    """How far a run is: steps done, and how many of them were skipped, in all and in a row."""

    step: int = 0
    skipped: int = 0
    skipped_in_row: int = 0

    def count(self, *, taken: bool) -> None:
        """Count a step that was taken, or skipped."""
        self.step += 1
        self.skipped += not taken
        self.skipped_in_row = 0 if taken else self.skipped_in_row + 1
