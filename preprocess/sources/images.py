"""A folder of pictures, at any depth: each is a video of one frame."""

from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.files import PICTURE_SUFFIXES, find_pictures, unique_names
from preprocess.sources.values import Listing, Video


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame a file; its id is its path. Raises InputError when there is none.

    Files are not opened here: a broken one is quarantined when its clip is made.
    """
    found = find_pictures(source)
    if not found:
        raise InputError(f"{source} holds no picture ({', '.join(PICTURE_SUFFIXES)})")
    videos = []
    for video_id, (_, picture) in zip(unique_names([p for p, _ in found]), found, strict=True):
        videos.append(Video(video_id, 1, 1.0, picture, video_id))
        on_file()
    return Listing(tuple(videos))
