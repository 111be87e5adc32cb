"""What a user is told to do about a file that is absent, damaged or changed."""

from __future__ import annotations

from pathlib import Path

from preprocess.weights.entries import ExternalFile
from preprocess.weights.registry import folder
from preprocess.weights.sources import Hub, MadeHere, Url

__all__ = ["by_hand", "command", "way_out"]


def command(verb: str, name: str, root: Path) -> str:
    """An `idol-prep weights` command for this folder, in backquotes."""
    option = "" if root == folder() else f" --weights {root}"
    return f"`idol-prep weights {verb} {name}{option}`"


def way_out(entry: ExternalFile, root: Path) -> str:
    """How to get the file, with a network and without."""
    if isinstance(entry.source, MadeHere):
        option = "" if root == folder() else f" --weights {root}"
        return f"Make it with `{entry.source.command}{option}` from {entry.source.needs}."
    return f"Fetch it with {command('fetch', entry.fetch_name, root)}, or {by_hand(entry, root)}."


def by_hand(entry: ExternalFile, root: Path) -> str:
    """How to get the file on a machine without a network."""
    copy = "on a machine without a network copy the folder from one that has it and set"
    if isinstance(entry.source, Hub | Url):
        return f"{copy} IDOL_WEIGHTS, or put {entry.source.url} at {root / entry.name}"
    return f"{copy} IDOL_WEIGHTS"
