"""What stops a training run with one clear message."""

from collections.abc import Sequence

from idol.errors import IdolError

__all__ = ["DivergedError", "TrainError"]


class TrainError(IdolError):
    """A run cannot start, or cannot resume."""


class DivergedError(TrainError):
    """Too many steps in a row, up to `step`, had a loss or gradient that was not finite."""

    def __init__(self, in_row: int, step: int, keys: Sequence[str]) -> None:
        super().__init__(
            f"{in_row} steps in a row had a loss or gradient that is not finite, up to step "
            f"{step}, whose clips are {', '.join(keys)}: look at these with `idol-shards show`. "
            "The newest checkpoint has the weights before them. A higher --max-skipped lets this "
            "run continue; to continue otherwise, with a lower --learning-rate or with "
            "--mixed-precision bf16 in place of fp16, give this --output as --init-from, and "
            "another --output"
        )
