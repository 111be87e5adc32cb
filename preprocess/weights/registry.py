"""The registry of external files, and the folder they lie in."""

from __future__ import annotations

import os
from pathlib import Path

from preprocess.annotators.registry import FILES
from preprocess.errors import InputError
from preprocess.external_file import ExternalFile
from preprocess.weights.entries import ENTRIES

__all__ = ["REGISTRY", "files", "folder"]

REGISTRY: tuple[ExternalFile, ...] = (*FILES, *ENTRIES)


def folder(override: str | Path | None = None) -> Path:
    """The folder of external files: `override`, else $IDOL_WEIGHTS, else the user's cache."""
    if override:
        return Path(override).expanduser()
    if chosen := os.environ.get("IDOL_WEIGHTS"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "idol" / "weights"


def files(*names: str) -> tuple[ExternalFile, ...]:
    """Entries of the named groups or files; all of them when none is named.

    Raises InputError for a name that the registry does not have.
    """
    known = {f.group for f in REGISTRY} | {f.name for f in REGISTRY}
    for name in names:
        if name not in known:
            groups = ", ".join(sorted({f.group for f in REGISTRY}))
            raise InputError(f"no external file or group is called {name!r}; groups: {groups}")
    return tuple(f for f in REGISTRY if not names or f.name in names or f.group in names)
