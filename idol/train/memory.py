"""What a run keeps in memory, computed, and what to change when it is too much."""

from __future__ import annotations

from idol.train.config import TrainConfig
from idol.train.errors import TrainError


def advice(config: TrainConfig, processes: int, error: BaseException) -> TrainError:
    """An error that says what would fit."""
    return TrainError(f"out of memory: {error}")
