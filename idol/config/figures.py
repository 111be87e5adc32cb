"""Options of `idol-bench figures`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from idol.config.checks import ConfigError, at_least, mistakes_in

__all__ = ["FiguresConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FiguresConfig:
    """The like of the paper's Fig. 3 to 8, drawn of what idol-bench claims left.

    Raises:
        ConfigError: naming every mistake.
    """

    claims: Path
    """The --out of idol-bench claims, finished or not."""
    out: Path
    """Folder of the pictures and of figures.json, which has their numbers and what is absent."""
    shards: Path | None = None
    """Dataset that was scored; the one that claims.json names unless given."""
    seed: int = 0
    """Which of the runs' seeds is drawn."""
    clips: Annotated[int, at_least(1)] = 2
    """Clips of a figure, the first ones."""
    frames: Annotated[int, at_least(2)] = 6
    """Frames of a clip that are drawn."""

    def __post_init__(self) -> None:
        if mistakes := [f"--{name} {fault}" for name, fault in mistakes_in(self)]:
            raise ConfigError("; ".join(mistakes))
