"""An external file as a plain value: what it is, where it is from, how it is known to be right."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

__all__ = [
    "ByHand",
    "Checksum",
    "ExternalFile",
    "Hub",
    "MadeHere",
    "Member",
    "Sdist",
    "Source",
    "Wheel",
    "hub_endpoint",
    "sha256_by",
    "what_else",
]

_HUB = "https://huggingface.co"
_SHA256_DIGITS = 64

_LOOK = 512
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


@dataclass(frozen=True)
class Wheel:
    """A package's wheel at a pinned version; it is unpacked, never installed."""

    package: str
    version: str
    sha256: str
    # Wheels with compiled code differ by platform: the one named here is fetched everywhere,
    # because only its data is used.
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sdist:
    """A package's source archive (.tar.gz) at a pinned version, for what has no wheel."""

    package: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Member:
    """One file inside a package."""

    package: Wheel | Sdist
    path: str

    @property
    def label(self) -> str:
        return f"{self.package.package}=={self.package.version}"


@dataclass(frozen=True)
class Hub:
    """A file of a repository on the model hub, at a commit."""

    repository: str
    revision: str
    file: str

    @property
    def label(self) -> str:
        return f"hub:{self.repository}@{self.revision[:7]}"

    @property
    def url(self) -> str:
        """Its address; $HF_ENDPOINT names another hub, such as a mirror."""
        return f"{hub_endpoint()}/{self.repository}/resolve/{self.revision}/{quote(self.file)}"


@dataclass(frozen=True)
class MadeHere:
    """A file that cannot be downloaded: `command` makes it from what `needs` says."""

    command: str
    needs: str

    @property
    def label(self) -> str:
        return f"made by `{self.command}`"


@dataclass(frozen=True)
class ByHand:
    """A file that its publisher serves on a page which wants a person, not a program."""

    page: str

    @property
    def label(self) -> str:
        return f"by hand from {urlsplit(self.page).netloc}"


Source = Member | Hub | MadeHere | ByHand


def hub_endpoint() -> str:
    """The hub's address without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


@dataclass(frozen=True)
class Checksum:
    """A checksum that others state: all its hexadecimal digits, or the first ones.

    `by` says who: it tells a reader how far to trust it.
    """

    algorithm: Literal["sha256", "md5"]
    digits: str
    by: str


def sha256_by(digits: str, by: str = "several public projects") -> tuple[Checksum, ...]:
    """What most entries state: a whole SHA-256, by default one that several projects agree on."""
    return (Checksum("sha256", digits, by),)


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


def what_else(path: Path) -> str | None:
    """What a file is that is no content of its own, in words; None for all others."""
    with open(path, "rb") as opened:
        head = opened.read(_LOOK)
    if not head:
        return "empty"
    if head.startswith(_POINTER):
        return "a git-lfs pointer, which names the weights and does not hold them"
    if head.lstrip().lower().startswith(_PAGES):
        return "a web page, not a file of weights (was it saved from a page that asks to log in?)"
    return None
