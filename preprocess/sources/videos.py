"""A folder of video files, at any depth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.base import Listing, find_files, probe_videos, unique_ids

SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv", ".gif"),
)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video a file; its id is its path in the folder. Raises InputError when there is none."""
    paths = find_files(source, SUFFIXES)
    if not paths:
        raise InputError(f"{source} holds no video file ({', '.join(SUFFIXES)})")
    ids = unique_ids(source, paths)
    return probe_videos(paths, ids, ids, on_file)
