"""A folder of video files, at any depth."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.files import Leftovers, find_files, unique_ids
from preprocess.sources.values import Listing, Unreadable, Video
from preprocess.video import VideoFile

__all__ = ["listing", "probe_videos"]

SUFFIXES = (
    *(".mp4", ".mov", ".qt", ".m4v", ".avi", ".divx", ".mkv", ".mk3d", ".webm", ".mpg", ".mpeg"),
    *(".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".m2t", ".trp", ".wmv", ".asf"),
    *(".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf", ".dv", ".nut", ".y4m", ".ivf"),
    *(".rm", ".rmvb", ".wtv", ".mjpg", ".mjpeg", ".gif", ".apng"),
    *(".h261", ".h263", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu"),  # raw streams
)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video a file; its id is its path in the folder. Raises InputError when there is none."""
    left = Leftovers(source)
    paths = find_files(source, SUFFIXES, left)
    if not paths:
        raise InputError(f"{source} holds no video file ({', '.join(SUFFIXES)}){left.in_words()}")
    ids = unique_ids(source, paths)
    return left.beside(probe_videos(paths, ids, ids, on_file))


def probe_videos(
    paths: list[Path],
    ids: list[str],
    groups: list[str],
    on_file: Callable[[], None],
) -> Listing:
    """Count the frames of video files, several at a time: it is reading, not computing."""

    def probe(item: tuple[Path, str, str]) -> list[Video | Unreadable]:
        path, video_id, group = item
        reader = VideoFile(path)
        try:
            index = reader.index()
        except InputError as error:
            empty = path.is_file() and not path.stat().st_size
            return [Unreadable(video_id, f"{path} is empty" if empty else str(error))]
        finally:
            on_file()
        if not index.frames:
            why = f": {index.lost}" if index.lost else ""
            return [Unreadable(video_id, f"{path} has no frames{why}")]
        video = Video(video_id, index.frames, index.fps, reader, group)
        faults = (("is cut off", index.cut_off), ("is damaged", index.lost))
        said = "; ".join(f"{fault}: {what}" for fault, what in faults if what)
        return [video, Unreadable(video_id, f"{path} {said}")] if said else [video]

    with ThreadPoolExecutor(max_workers=8) as pool:
        probed = pool.map(probe, zip(paths, ids, groups, strict=True))
        results = [result for several in probed for result in several]
    return Listing(
        tuple(r for r in results if isinstance(r, Video)),
        tuple(r for r in results if isinstance(r, Unreadable)),
    )
