"""Options of `idol-prep encode`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from idol.config.checks import ConfigError, at_least, mistakes_in
from idol.config.share import ALL, divided, mistakes_of

__all__ = ["EncodeConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """A dataset and a VAE; `device` and `batch` change nothing but rounding.

    Raises:
        ConfigError: naming every mistake.
    """

    dataset: tyro.conf.Positional[str]
    """Folder or URL (s3://...) of a whole dataset."""
    base: Path
    """Folder in diffusers' layout with the VAE in vae/, or the VAE's own."""
    size: Annotated[int, at_least(1)] = 256
    """Height and width of training images, in pixels."""
    device: str = "auto"
    """Device of torch: cpu, cuda, cuda:1, ... auto: a GPU if there is one."""
    batch: Annotated[int, at_least(1)] = 16
    """Images that pass through the VAE at a time."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """In which the VAE runs; latents are stored in float16."""
    share: str = ALL
    """I/N makes every N-th shard from the I-th (0 to N - 1) on, for N processes."""

    def __post_init__(self) -> None:
        mistakes = [f"--{name} {fault}" for name, fault in mistakes_in(self)]
        mistakes += mistakes_of(self.share)
        if mistakes:
            raise ConfigError("; ".join(mistakes))

    @property
    def part(self) -> slice:
        """Which shards this process encodes, of all that there are."""
        return divided(self.share)
