"""What a user can do about a file that is absent, damaged or out of reach."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from preprocess.external_file import ByHand, ExternalFile, Hub, MadeHere
from preprocess.weights.registry import folder

__all__ = ["command", "offline", "way_out", "ways_out"]


def command(verb: str, name: str, root: Path) -> str:
    """An `idol-prep weights` command for this folder, in backquotes."""
    return f"`idol-prep weights {f'{verb} {name}'.rstrip()}{_option(root)}`"


def way_out(entry: ExternalFile, root: Path) -> str:
    """How to get the file, with a network and without."""
    if isinstance(entry.source, MadeHere):
        return f"Make it with `{entry.source.command}{_option(root)}` from {entry.source.needs}."
    if isinstance(entry.source, ByHand):
        return f"Download it from {entry.source.page} and put it at {root / entry.name}."
    fetch = command("fetch", entry.fetch_name, root)
    return f"Fetch it with {fetch}. Without a network: {_by_hand(entry, root)}."


def ways_out(entries: Sequence[ExternalFile], root: Path) -> str:
    """How to get several files at once."""
    made = [entry for entry in entries if isinstance(entry.source, MadeHere | ByHand)]
    names = dict.fromkeys(entry.fetch_name for entry in entries if entry not in made)
    steps = [f"Fetch them with {command('fetch', ' '.join(names), root)}."] if names else []
    steps += [f"{entry.name}: {way_out(entry, root)}" for entry in made]
    steps.append(f"Without a network: {_copy(root)}; {command('list', '', root)} says more.")
    return " ".join(steps)


def offline(entry: ExternalFile, root: Path) -> str:
    """How to get the file when the network has just failed."""
    fetch = command("fetch", entry.fetch_name, root)
    return f"Try {fetch} again when there is a network; without one, {_by_hand(entry, root)}."


def _by_hand(entry: ExternalFile, root: Path) -> str:
    copy = _copy(root)
    if isinstance(entry.source, Hub):
        return f"{copy}, or put {entry.source.url} at {root / entry.name}"
    return copy


def _copy(root: Path) -> str:
    return f"copy {root} from a machine that has the files (IDOL_WEIGHTS names another folder)"


def _option(root: Path) -> str:
    return "" if root == folder() else f" --weights {shlex.quote(str(root))}"
