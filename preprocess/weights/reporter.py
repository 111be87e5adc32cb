"""What fetching tells while it runs; this one is silent, a command shows it."""

from __future__ import annotations

from preprocess.external_file import ExternalFile, Sdist, Wheel

__all__ = ["Reporter"]


class Reporter:
    """Told of each step; override what should be seen."""

    def package(self, package: Wheel | Sdist) -> None:
        """A package is downloaded next."""

    def started(self, entry: ExternalFile, here: int, total: int | None) -> None:
        """A file is downloaded: `here` of `total` bytes (None: not said) are here already."""

    def advanced(self, entry: ExternalFile, by: int) -> None:
        """So many bytes more are here."""

    def interrupted(self, entry: ExternalFile, reason: str, wait: float) -> None:
        """The connection failed; it is tried again in `wait` seconds."""

    def waiting(self, entry: ExternalFile) -> None:
        """Another process is fetching the same file; we wait for it."""

    def checking(self, entry: ExternalFile) -> None:
        """All of a file is here, and its checksum is computed."""

    def placed(self, entry: ExternalFile) -> None:
        """A file is in its place."""
