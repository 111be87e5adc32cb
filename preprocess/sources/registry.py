"""The datasets whose published layouts are read, and listing a source of one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from preprocess.errors import InputError
from preprocess.remote import forget_listings
from preprocess.sources import DatasetName, coco, disco, images, laion, ntu120, tiktok, videos
from preprocess.sources.files import file_of
from preprocess.sources.people import source as people
from preprocess.sources.reasons import without_source
from preprocess.sources.values import Listing, Spread, Unreadable, Video

__all__ = ["DATASETS", "list_videos"]

DATASETS: tuple[str, ...] = get_args(DatasetName)

_LISTINGS: dict[str, Callable[[Path, Callable[[], None]], Listing]] = {
    "tiktok": tiktok.listing,
    "disco": disco.listing,
    "coco": coco.listing,
    "shhq": images.shhq,
    "deepfashion2": images.deepfashion2,
    "laion": laion.listing,
    "images": images.images,
    "people": people.listing,
}


def list_videos(
    dataset: str,
    source: Path,
    on_file: Callable[[], None] = lambda: None,
    where: str | None = None,
    spread: Spread = videos.in_threads,
) -> Listing:
    """List the videos of a source folder; `on_file` is called as each file has been looked at.

    `spread` looks at video files; images are not opened, and other layouts' lists are read here.

    `where` keeps the videos of `ntu120` for which it holds, as in "performer in (1, 2) and
    camera == 1"; see `preprocess.sources.where`.
    Raises InputError when the folder is absent, or holds nothing in the dataset's layout, when two
    videos have one id, or when `where` cannot be used.
    """
    forget_listings()
    if dataset not in DATASETS:
        raise InputError(f"unknown dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if where is not None and dataset != "ntu120":
        raise InputError(
            f"--where {where!r} cannot be used with {dataset}: only the file names of ntu120 state "
            "setup, camera, performer, replication and action"
        )
    if dataset == "people":
        if not source.is_file():
            kind = "is a folder" if source.is_dir() else "does not exist"
            raise InputError(
                f"source {source} {kind}: --source takes the file that says which people to "
                "render, as examples/people-smoke.yaml"
            )
    elif not source.is_dir():
        kind = "is a file, not a folder" if source.exists() else "does not exist"
        raise InputError(f"source {source} {kind}: --source takes the folder of the dataset")
    if dataset == "ntu120":
        listing = ntu120.listing(source, on_file, where, spread)
    elif dataset == "videos":
        listing = videos.listing(source, on_file, spread)
    else:
        listing = _LISTINGS[dataset](source, on_file)
    _check_ids(listing)
    unreadable = tuple(
        Unreadable(u.id, without_source(u.reason, source)) for u in listing.unreadable
    )
    return replace(listing, unreadable=unreadable)


def _check_ids(listing: Listing) -> None:
    known: dict[str, Video] = {}
    for video in listing.videos:
        other = known.setdefault(video.id, video)
        if other is not video:
            raise InputError(
                f"{file_of(other.reader)} and {file_of(video.reader)} both give a video "
                f"{video.id!r}: rename one of them"
            )
