"""A folder of video files, at any depth."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from preprocess.errors import InputError
from preprocess.remote import RemotePath
from preprocess.sources.files import Leftovers, find_files, unique_ids
from preprocess.sources.values import Listing, Spread, Unreadable, Video
from preprocess.video import VideoFile

__all__ = ["in_threads", "in_turn", "listing", "probe_videos"]

_AHEAD = 512  # files that are begun, and their results kept, before the first is asked for

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

SUFFIXES = (
    *(".mp4", ".mov", ".qt", ".m4v", ".avi", ".divx", ".mkv", ".mk3d", ".webm", ".mpg", ".mpeg"),
    *(".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".m2t", ".trp", ".wmv", ".asf"),
    *(".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf", ".dv", ".nut", ".y4m", ".ivf"),
    *(".rm", ".rmvb", ".wtv", ".mjpg", ".mjpeg", ".gif", ".apng"),
    *(".h261", ".h263", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu"),  # raw streams
)


def in_turn(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """A `Spread` that spreads nothing, for what is quicker done than handed over."""
    yield from map(work, items)


def in_threads(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """A `Spread` within this process: looking at files is reading more than computing."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for first in range(0, len(items), _AHEAD):
            yield from pool.map(work, items[first : first + _AHEAD])


def listing(source: Path, on_file: Callable[[], None], spread: Spread = in_threads) -> Listing:
    """One video a file; its id is its path in the folder. Raises InputError when there is none."""
    left = Leftovers(source)
    paths = find_files(source, SUFFIXES, left)
    if not isinstance(source, RemotePath):
        paths = _each_once(paths, left)
    if not paths:
        raise InputError(f"{source} holds no video file ({', '.join(SUFFIXES)}){left.in_words()}")
    ids = unique_ids(source, paths)
    return left.beside(probe_videos(paths, ids, ids, on_file, spread))


def _each_once(paths: list[Path], left: Leftovers) -> list[Path]:
    """Without links to files that are there as well: one video twice could lie on both sides of the
    split. (Of images this is not asked: frames that look alike may be links to one file.)"""
    known, again = set[str](), set[Path]()
    for path in sorted(paths, key=Path.is_symlink):
        target = os.path.realpath(path)
        if target in known:
            left.pass_over("link to a file that is read already", str(path))
            again.add(path)
        known.add(target)
    return [path for path in paths if path not in again]


def probe_videos(
    paths: list[Path],
    ids: list[str],
    groups: list[str],
    on_file: Callable[[], None],
    spread: Spread = in_threads,
) -> Listing:
    """Count the frames of video files, several at a time as `spread` does it."""
    videos: list[Video] = []
    unreadable: list[Unreadable] = []
    for found in spread(_probe, list(zip(paths, ids, groups, strict=True))):
        for one in found:
            if isinstance(one, Video):
                videos.append(one)
            else:
                unreadable.append(one)
        on_file()
    return Listing(tuple(videos), tuple(unreadable))


def _probe(item: tuple[Path, str, str]) -> list[Video | Unreadable]:
    path, video_id, group = item
    reader = VideoFile(path)
    try:
        index = reader.index()
    except InputError as error:
        empty = path.is_file() and not path.stat().st_size
        return [Unreadable(video_id, f"{path} is empty" if empty else str(error))]
    if not index.frames:
        why = f": {index.lost}" if index.lost else ""
        return [Unreadable(video_id, f"{path} has no frames{why}")]
    video = Video(video_id, index.frames, index.fps, reader, group)
    faults = (("is cut off", index.cut_off), ("is damaged", index.lost))
    said = "; ".join(f"{fault}: {what}" for fault, what in faults if what)
    return [video, Unreadable(video_id, f"{path} {said}")] if said else [video]
