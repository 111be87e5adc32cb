"""What every source gives: a `Listing` of `Video`s, in an order that depends on names alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from preprocess.annotators.choices import DatasetName
from preprocess.errors import InputError
from preprocess.frames import FrameReader
from preprocess.sources.files import find_files, numerically, unique_ids
from preprocess.video import VideoFile

__all__ = [
    "DATASETS",
    "Listing",
    "Split",
    "Unreadable",
    "Video",
    "find_files",
    "list_videos",
    "numerically",
    "probe_videos",
    "unique_ids",
]

Split = Literal["train", "val"]
DATASETS: tuple[str, ...] = get_args(DatasetName)


@dataclass(frozen=True, slots=True)
class Video:
    """A run of frames in the source; a single picture is a video of one frame.

    `id` is unique in the source. `group` is what must not be torn between train and val (the
    video itself, or its performer). `split` is the published one, or None where none is.
    `densepose` and `masks` read the source's own DensePose pictures and person masks of the same
    indices; None where the source has none at all, and reading one that is missing raises a
    ClipError that names it. Masks are white (or grey, for soft edges) where the person is.
    """

    id: str
    frames: int
    fps: float
    reader: FrameReader
    group: str
    split: Split | None = None
    densepose: FrameReader | None = None
    masks: FrameReader | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of the source that gives no video, or not all of it, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Listing:
    videos: tuple[Video, ...]
    unreadable: tuple[Unreadable, ...] = ()


def list_videos(
    dataset: str,
    source: Path,
    on_file: Callable[[], None] = lambda: None,
    where: str | None = None,
) -> Listing:
    """List the videos of a source folder; `on_file` is called as each file has been looked at.

    `where` keeps the videos of `ntu120` for which it holds, as in "performer in (1, 2) and
    camera == 1"; see `preprocess.sources.where`.
    Raises InputError when the folder is absent, or holds nothing in the dataset's layout, or when
    `where` cannot be used.
    """
    from preprocess.sources import (
        coco,
        deepfashion2,
        disco,
        images,
        laion,
        ntu120,
        shhq,
        tiktok,
        videos,
    )

    readers: dict[str, Callable[[Path, Callable[[], None]], Listing]] = {
        "tiktok": tiktok.listing,
        "ntu120": lambda source, on_file: ntu120.listing(source, on_file, where),
        "disco": disco.listing,
        "coco": coco.listing,
        "shhq": shhq.listing,
        "deepfashion2": deepfashion2.listing,
        "laion": laion.listing,
        "videos": videos.listing,
        "images": images.listing,
    }
    if dataset not in readers:
        raise InputError(f"unknown dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if where is not None and dataset != "ntu120":
        raise InputError(
            f"--where {where!r} cannot be used with {dataset}: only the file names of ntu120 tell "
            "setup, camera, performer, replication and action"
        )
    if not source.is_dir():
        kind = "is a file, not a folder" if source.exists() else "does not exist"
        raise InputError(f"source {source} {kind}: --source takes the folder of the dataset")
    listing = readers[dataset](source, on_file)
    # Reasons end up in the dataset, whose bytes must not depend on where the source lies.
    unreadable = tuple(
        Unreadable(u.id, u.reason.replace(f"{source}/", "")) for u in listing.unreadable
    )
    return Listing(listing.videos, unreadable)


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
            timeline = reader.timeline()
        except InputError as error:
            return [Unreadable(video_id, str(error))]
        finally:
            on_file()
        if not timeline.frames:
            return [Unreadable(video_id, f"{path} has no frames")]
        video = Video(video_id, timeline.frames, timeline.fps, reader, group)
        if timeline.frames >= timeline.promised:
            return [video]
        cut = f"{path} is cut off: {timeline.frames} of {timeline.promised} frames are there"
        return [video, Unreadable(video_id, cut)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        probed = pool.map(probe, zip(paths, ids, groups, strict=True))
        results = [result for several in probed for result in several]
    return Listing(
        tuple(r for r in results if isinstance(r, Video)),
        tuple(r for r in results if isinstance(r, Unreadable)),
    )
