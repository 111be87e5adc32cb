"""What a user is told to do about a file that is absent, damaged or out of reach."""

from __future__ import annotations

from pathlib import Path

from preprocess.weights.entries import ExternalFile
from preprocess.weights.registry import folder
from preprocess.weights.sources import Hub, MadeHere, Url

__all__ = ["command", "offline", "way_out"]


def command(verb: str, name: str, root: Path) -> str:
    """An `idol-prep weights` command for this folder, in backquotes."""
    return f"`idol-prep weights {verb} {name}{_option(root)}`"


def way_out(entry: ExternalFile, root: Path) -> str:
    """How to get the file, with a network and without."""
    if isinstance(entry.source, MadeHere):
        return f"Make it with `{entry.source.command}{_option(root)}` from {entry.source.needs}."
    fetch = command("fetch", entry.fetch_name, root)
    return f"Fetch it with {fetch}. Without a network: {_by_hand(entry, root)}."


def offline(entry: ExternalFile, root: Path) -> str:
    """How to get the file when the network has just failed."""
    fetch = command("fetch", entry.fetch_name, root)
    return f"Try {fetch} again when there is a network; without one, {_by_hand(entry, root)}."


def _by_hand(entry: ExternalFile, root: Path) -> str:
    copy = f"copy {root} from a machine that has the files (IDOL_WEIGHTS names another folder)"
    if isinstance(entry.source, Hub | Url):
        return f"{copy}, or put {entry.source.url} at {root / entry.name}"
    return copy


def _option(root: Path) -> str:
    return "" if root == folder() else f" --weights {root}"
