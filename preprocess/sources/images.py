"""A folder of pictures, at any depth: each is a video of one frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import FrameFolder
from preprocess.sources.base import Listing, Video, find_files, unique_ids

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame a file; its id is its path. Raises InputError when there is none.

    Files are not opened here: a broken one is quarantined when its clip is made.
    """
    paths = find_files(source, SUFFIXES)
    if not paths:
        raise InputError(f"{source} holds no picture ({', '.join(SUFFIXES)})")
    videos = []
    for path, video_id in zip(paths, unique_ids(source, paths), strict=True):
        videos.append(Video(video_id, 1, 1.0, FrameFolder((path,), 1.0), video_id))
        on_file()
    return Listing(tuple(videos))
