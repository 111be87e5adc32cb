"""Options of `idol-app`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from idol.config.checks import ConfigError, at_least, mistakes_in

__all__ = ["AppConfig"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppConfig:
    """What the page generates with, what it offers, and who may open it.

    Raises:
        ConfigError: naming every mistake.
    """

    model: Path | None = None
    """A run of idol-train, one of its checkpoints, or a pipeline's folder; the small one that comes
    with the package (128x128 pixels) unless given."""
    clips: tuple[str, ...] = ()
    """Datasets whose clips are offered as persons and motions; examples/people-128.tar unless
    given."""
    out: Path = Path("generated")
    """Folder of the videos, one folder each, and of what was uploaded for them."""
    weights: Path | None = None
    """Folder of the annotators' files, and the mark's; $IDOL_WEIGHTS, else the user's cache, unless
    given."""
    host: str = "127.0.0.1"
    """Who may open the page: this machine alone. 0.0.0.0: whoever can reach it; there is no
    password."""
    port: Annotated[int, at_least(0, 65535)] = 7860
    """Of the page; 0 takes a free one."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name.replace('_', '-')} {fault}" for name, fault in mistakes_in(self)]
        if not self.host.strip():
            mistakes.append("--host is empty: give an address, as in 127.0.0.1")
        if mistakes:
            raise ConfigError("; ".join(mistakes))

    @property
    def loopback(self) -> bool:
        """Whether this machine alone can open the page."""
        return self.host in _LOOPBACK
