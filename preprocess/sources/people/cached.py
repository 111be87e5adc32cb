"""`anny`'s model, whose data are made ready once a machine: in minutes, and whole or not at all."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from shards.files.atomic import atomic_folder
from shards.files.locks import exclusive

if TYPE_CHECKING:
    import anny

__all__ = ["anny_model", "data_folder"]


def data_folder() -> Path | None:
    """Where the data lie, or will; None where anny is not installed.

    `ANNY_CACHE_DIR` says in which folder, as for anny itself.
    """
    try:
        name = f"idol-{version('anny')}"
    except PackageNotFoundError:
        return None
    root = os.environ.get("ANNY_CACHE_DIR")
    return (Path(root) if root else Path.home() / ".cache" / "anny") / name


def anny_model() -> anny.Anny:
    """Load the model; the first process makes its data ready, others wait for it.

    They come as text, and anny keeps what it made of them; but it writes a file where others look
    for it, so that a kill, or a second process, would leave or find a half of one for ever.

    Raises:
        ImportError: anny is not installed.
    """
    import anny

    folder = data_folder()
    if folder is None:  # a copy that no installer knows
        return anny.Anny()
    if not folder.is_dir():
        with exclusive(folder.with_name(f".{folder.name}.lock"), optional=True):
            if not folder.is_dir():
                with atomic_folder(folder) as unfinished:
                    anny.paths.set_anny_cache_path(unfinished)
                    anny.Anny()
    anny.paths.set_anny_cache_path(folder)
    return anny.Anny()
