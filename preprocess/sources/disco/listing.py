"""DisCo's distribution of TikTok and of pictures for pre-training, as TSV files.

`TikTokDance/train_images.tsv`, `..._masks.tsv`, `..._poses.tsv`, `..._vid2line.tsv` with
`.lineidx` files beside them, and perhaps `composite/train.yaml` files that name them. Files belong
together by their names or by a yaml file; their lines belong together by their keys, such as
`TiktokDance_00001_0001.png` and `TiktokDance_201_002_1x1_00030.jpg`. Poses are drawn pictures and
are left alone: keypoints cannot be read from them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.base import Listing, Split, Unreadable, Video
from preprocess.sources.disco.layout import PictureSet, find_sets
from preprocess.sources.disco.tsv import MISSING, TsvIndex, TsvPictures, index_tsv
from preprocess.sources.disco.vid2line import read_vid2line
from preprocess.sources.files import natural_order

FPS = 30.0
# The validation videos of DisCo and IDOL; those in two parts are found nowhere else.
HELD_OUT = frozenset(
    ("00337", "00338", "201_002", "201_005", "201_021", "201_024")
    + ("202_006", "202_007", "202_025", "203_006")
)

_SUFFIXES = re.compile(r"(\.(png|jpe?g|webp|bmp|mask))+$", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+?)[_\-/. ]*(?:frame|image|img)?[_\-/. ]*(?<!\d)(\d+)", re.IGNORECASE)
_PUBLISHED_ID = re.compile(r"(?:TiktokDance_)?(.+?)(?:_1x1_?)?", re.IGNORECASE)
# Sets of single pictures for pre-training: their numbers count pictures, not frames.
_SINGLE = re.compile(r"coco|shhq|deepfashion|laion", re.IGNORECASE)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video for each that `vid2line` tells, or else for each beginning that keys share.

    A video is split as its file is (`train`, `val`), but for the ten that DisCo and IDOL validate
    with, which are always held out. Raises InputError when there is no TSV file of pictures.
    """
    sets = find_sets(source)
    if not sets:
        raise InputError(
            f"{source} is not in DisCo's layout: expected TSV files of `key <tab> base64` such as "
            "TikTokDance/train_images.tsv, with train_masks.tsv and train_vid2line.tsv beside it"
        )
    videos: list[tuple[str, Video]] = []
    unreadable: list[Unreadable] = []
    for pictures in sets:
        try:
            found = _videos(source, pictures, unreadable)
            videos += [(pictures.name, video) for video in found]
        except OSError as error:
            path = error.filename or pictures.images
            unreadable.append(Unreadable(pictures.name, f"{path}: {error.strerror or error}"))
        on_file()
    return Listing(tuple(_distinct(videos)), tuple(unreadable))


def video_and_number(key: str) -> tuple[str, int | None]:
    """The video's id in a picture's key and the frame's number; None for a picture on its own."""
    stem = _SUFFIXES.sub("", key)
    match = _NUMBERED.fullmatch(stem)
    return (_published_id(match[1]), int(match[2])) if match else (stem, None)


def _published_id(name: str) -> str:
    match = _PUBLISHED_ID.fullmatch(name)
    return match[1] if match else name


def _videos(source: Path, pictures: PictureSet, unreadable: list[Unreadable]) -> Iterator[Video]:
    def fault(path: Path, reason: str) -> None:
        unreadable.append(Unreadable(path.relative_to(source).as_posix(), reason))

    images = index_tsv(pictures.images)
    masks = index_tsv(pictures.masks) if pictures.masks else None
    for index in (images, masks) if masks else (images,):
        for reason in index.faults:
            fault(index.path, reason)
    if not images.rows:
        fault(images.path, f"{images.path} has no picture")
    by_stem = {_SUFFIXES.sub("", key): row for key, row in masks.rows.items()} if masks else {}
    for name, keys in _grouped(pictures, images, fault).items():
        mask_rows = [by_stem.get(_SUFFIXES.sub("", key)) for key in keys]
        yield Video(
            name,
            len(keys),
            FPS,
            _reader(images, keys, [images.rows[key] for key in keys]),
            group=name,
            split="val" if name in HELD_OUT else pictures.split,
            masks=_reader(masks, keys, mask_rows) if masks else None,
        )


def _reader(index: TsvIndex, keys: list[str], rows: list[int | None]) -> TsvPictures:
    return TsvPictures(
        index.path,
        tuple(k if r is None else index.keys[r] or k for k, r in zip(keys, rows, strict=True)),
        tuple(MISSING if r is None else index.offsets[r] for r in rows),
        tuple(0 if r is None else index.lengths[r] for r in rows),
        FPS,
    )


def _grouped(
    pictures: PictureSet, images: TsvIndex, fault: Callable[[Path, str], None]
) -> dict[str, list[str]]:
    """Keys of each video in the order of their numbers, videos in the order of theirs."""
    by_keys = _by_keys(pictures, images)
    groups = by_keys
    if path := pictures.vid2line:
        try:
            told = _by_vid2line(path, images)
            # As many videos, of other frames: it was made for the lines in another order.
            if len(told) == len(by_keys) and _sets(told) != _sets(by_keys):
                raise ValueError(f"does not fit the keys in {images.path.name}")
            groups = told
        except (OSError, ValueError) as error:
            fault(path, f"{path} {error}; videos are told by the pictures' keys")
    left_out = len(images.rows) - sum(map(len, groups.values()))
    if left_out:
        fault(images.path, f"{images.path} has {left_out} pictures that are in no video")
    return {name: natural_order(groups[name]) for name in natural_order(groups)}


def _sets(groups: dict[str, list[str]]) -> set[frozenset[str]]:
    return {frozenset(keys) for keys in groups.values()}


def _by_keys(pictures: PictureSet, images: TsvIndex) -> dict[str, list[str]]:
    single = _SINGLE.search(pictures.name) is not None
    groups: dict[str, list[str]] = {}
    for key in images.rows:
        video = f"{pictures.name}/{_SUFFIXES.sub('', key)}" if single else video_and_number(key)[0]
        groups.setdefault(video, []).append(key)
    return groups


def _by_vid2line(path: Path, images: TsvIndex) -> dict[str, list[str]]:
    named: list[tuple[str, list[str]]] = []
    for name, rows in read_vid2line(path, images.rows, len(images)):
        keys = [key for row in rows if (key := images.keys[row]) is not None]
        if keys:
            named.append((_published_id(name) if name else video_and_number(keys[0])[0], keys))
    counts = Counter(name for name, _ in named)
    return {name if counts[name] == 1 else _SUFFIXES.sub("", keys[0]): keys for name, keys in named}


def _distinct(videos: list[tuple[str, Video]]) -> Iterator[Video]:
    """The videos under ids of their own; one that is in a val file is val in every file."""
    counts = Counter(video.id for _, video in videos)
    held_out = {video.id for _, video in videos if video.split == "val"}
    for set_name, video in videos:
        if counts[video.id] == 1:
            yield video
            continue
        split: Split | None = "val" if video.id in held_out else video.split
        yield replace(video, id=f"{set_name}/{video.id}", split=split)
