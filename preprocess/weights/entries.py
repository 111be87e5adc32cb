"""One entry of the registry: what a file is, where it is from, and how it is known to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from preprocess.weights.sources import Source

__all__ = ["Checksum", "ExternalFile"]

_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Checksum:
    """A checksum that others state: all its hexadecimal digits, or the first ones.

    `by` says who: it tells a reader how far to trust it.
    """

    algorithm: Literal["sha256", "md5"]
    digits: str
    by: str


@dataclass(frozen=True)
class ExternalFile:
    """One file of the registry, found at `{folder}/{name}`.

    `bytes` is None where the size is not known. Without a whole SHA-256 among `stated`, the
    file's own is recorded on first use and compared afterwards.
    """

    name: str  # "{group}/{file}"
    what: str
    source: Source
    licence: str
    bytes: int | None
    stated: tuple[Checksum, ...] = ()
    # One of several from which a user chooses: never fetched with its group by advice of ours.
    alternative: bool = False

    @property
    def group(self) -> str:
        return self.name.split("/")[0]

    @property
    def sha256(self) -> str | None:
        """The whole SHA-256 as stated by others, where there is one."""
        whole = (
            c.digits
            for c in self.stated
            if c.algorithm == "sha256" and len(c.digits) == _SHA256_DIGITS
        )
        return next(whole, None)

    @property
    def fetch_name(self) -> str:
        """What `idol-prep weights fetch` is best given to get it: its group, or itself."""
        return self.name if self.alternative else self.group
