"""Addresses of finished videos, which nobody can guess."""

from __future__ import annotations

import secrets
from pathlib import Path

__all__ = ["ADDRESS", "FILES", "RELIEF", "Shelf"]

ADDRESS = "/made"
RELIEF = "relief.html"
FILES = {
    "video.mp4": "video/mp4",
    "depth.mp4": "video/mp4",
    "side_by_side.mp4": "video/mp4",
    "sheet.png": "image/png",
    "report.json": "application/json",
    RELIEF: "text/html; charset=utf-8",
}
"""The files of a video that are given, and what they are."""


class Shelf:
    """The videos made since the page was opened, by address: each a folder and its 2.5D page."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[Path, Path | str]] = {}

    def put(self, folder: Path, relief: Path | str) -> str:
        """The address below which the files of the folder are given."""
        token = secrets.token_urlsafe(12)
        self._folders[token] = folder, relief
        return f"{ADDRESS}/{token}"

    def find(self, token: str, name: str) -> Path | None:
        """The file; None where there is none, or it is not given."""
        if name not in FILES or token not in self._folders:
            return None
        folder, relief = self._folders[token]
        path = relief if name == RELIEF else folder / name
        return path if isinstance(path, Path) and path.is_file() else None
