"""`--group-by`: which files are of one recording, so that they stay on one side of the split."""

import re
from dataclasses import replace
from pathlib import PurePosixPath

from preprocess.errors import InputError
from preprocess.sources.files import IMAGE_SUFFIXES
from preprocess.sources.values import Listing
from preprocess.sources.videos import SUFFIXES

__all__ = ["grouped", "parse_group_by"]

_FOLDER = "folder"


def parse_group_by(text: str) -> re.Pattern[str] | None:
    """The regular expression; None for `folder`.

    Raises InputError for one that is none, or does not say with one group what to group by.
    """
    if text == _FOLDER:
        return None
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{text!r} is no regular expression: {error}") from None
    named = len(pattern.groupindex)
    if pattern.groups != 1 and named != 1:
        raise InputError(
            f"{text!r} has {pattern.groups} groups{f', {named} of them named' if named else ''}: "
            "put what files of one recording share into one pair of parentheses, others into "
            "(?:...), or name one group (?P<recording>...)"
        )
    return pattern


def grouped(listing: Listing, text: str) -> tuple[Listing, str]:
    """The listing with its videos grouped by their paths without suffix, and that in words.

    A file that the expression does not match is a group of its own.
    Raises InputError as `parse_group_by`, and when no file matches.
    """
    pattern = parse_group_by(text)
    videos, alone = [], []
    for video in listing.videos:
        if pattern is None:
            group = PurePosixPath(video.id).parent.as_posix()
        else:
            match = pattern.search(_without_suffix(video.id))
            name = next(iter(pattern.groupindex), 1)
            group = match[name] or "" if match else ""
            if not group:
                alone.append(video.id)
                group = f"/{video.id}"  # no path in the source begins so: nobody else's
        videos.append(replace(video, group=group))
    if alone and len(alone) == len(videos):
        raise InputError(
            f"--group-by {text!r} matches none of the {len(videos)} files (first: {alone[0]})"
        )
    groups = len({video.group for video in videos})
    said = f"groups by {text!r}: {groups} of {len(videos)} files"
    if alone:
        said += f"; {len(alone)} do not match and are each their own (first: {alone[0]})"
    return replace(listing, videos=tuple(videos)), said


def _without_suffix(video_id: str) -> str:
    """Where two files have one path but for it, it is a part of their ids."""
    path = PurePosixPath(video_id)
    known = path.suffix.lower() in (*SUFFIXES, *IMAGE_SUFFIXES)
    return path.with_suffix("").as_posix() if known else video_id
