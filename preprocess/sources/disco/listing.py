"""DisCo's distribution of TikTok, and of pictures for pre-training, as TSV files.

`TikTokDance/train_images.tsv` holds lines of `key <tab> base64`, `train_masks.tsv` beside it the
masks by the same keys, each with its `.lineidx`. Keys tell the videos, as they do for DisCo's own
reader: `TiktokDance_00001_0001.png`, `TiktokDance_201_002_1x1_00030.jpg`. Its other files
(`vid2line`, captions, the yaml files of a composite) repeat that and are not read; poses are drawn
images, from which no keypoints can be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.disco.tsv import MISSING, TsvIndex, TsvPictures, index_tsv
from preprocess.sources.files import find_files, natural_order
from preprocess.sources.values import Listing, Split, Unreadable, Video

__all__ = ["listing", "video_and_number"]

FPS = 30.0
# The validation videos of DisCo and IDOL; those in two parts are found nowhere else.
HELD_OUT = frozenset(
    ("00337", "00338", "201_002", "201_005", "201_021", "201_024")
    + ("202_006", "202_007", "202_025", "203_006")
)

_IMAGES, _MASKS = "_images.tsv", "_masks.tsv"
_WORD = re.compile(r"[^/_.\s-]+")
_TRAIN = re.compile(r"train(ing|val)?\d*")
_VAL = re.compile(r"(new)?\d*val(id|idation)?\d*|test\d*|eval\d*")
_SUFFIXES = re.compile(r"(\.(png|jpe?g|webp|bmp|mask))+$", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+?)[_\-/. ]*(?:frame|image|img)?[_\-/. ]*(?<!\d)(\d+)", re.IGNORECASE)
_PUBLISHED_ID = re.compile(r"(?:TiktokDance_)?(.+?)(?:_1x1_?)?", re.IGNORECASE)
# Sets of single images for pre-training: their numbers count images, not frames.
_SINGLE = re.compile(r"coco|shhq|deepfashion|laion", re.IGNORECASE)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video for each beginning that keys share.

    A video is split as its file's name says (`train`, `val`), but for the ten that DisCo and IDOL
    validate with, which are always held out. Raises InputError when no file is named
    `*_images.tsv`.
    """
    files = find_files(source, (_IMAGES,))
    if not files:
        raise InputError(
            f"{source} is not in DisCo's layout: expected TSV files of `key <tab> base64` such as "
            "TikTokDance/train_images.tsv, with train_masks.tsv beside it"
        )
    videos: list[tuple[str, Video]] = []
    unreadable: list[Unreadable] = []
    for path in files:
        name = path.relative_to(source).as_posix().removesuffix(_IMAGES)
        try:
            videos += [(name, video) for video in _videos(source, path, name, unreadable)]
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            unreadable.append(Unreadable(name, reason))
        on_file()
    return Listing(tuple(_distinct(videos)), tuple(unreadable))


def video_and_number(key: str) -> tuple[str, int | None]:
    """The video's id in an image's key and the frame's number; None for an image on its own."""
    stem = _SUFFIXES.sub("", key)
    match = _NUMBERED.fullmatch(stem)
    if match is None:
        return stem, None
    published = _PUBLISHED_ID.fullmatch(match[1])
    return published[1] if published else match[1], int(match[2])


def _videos(source: Path, path: Path, name: str, unreadable: list[Unreadable]) -> Iterator[Video]:
    images = index_tsv(path)
    beside = path.with_name(path.name.removesuffix(_IMAGES) + _MASKS)
    masks = index_tsv(beside) if beside.is_file() else None
    faults = [(index.path, reason) for index in (images, masks) if index for reason in index.faults]
    if not images.rows:
        faults.append((path, f"{path} has no image"))
    unreadable += [Unreadable(p.relative_to(source).as_posix(), reason) for p, reason in faults]
    mask_rows = {_SUFFIXES.sub("", key): row for key, row in masks.rows.items()} if masks else {}
    for video, keys in _grouped(name, images).items():
        rows = [mask_rows.get(_SUFFIXES.sub("", key)) for key in keys]
        yield Video(
            video,
            len(keys),
            FPS,
            _reader(images, keys, [images.rows[key] for key in keys]),
            group=video,
            split="val" if video in HELD_OUT else _split(name),
            masks=_reader(masks, keys, rows) if masks else None,
        )


def _grouped(name: str, images: TsvIndex) -> dict[str, list[str]]:
    """Keys of each video in the order of their numbers, videos in the order of theirs."""
    single = _SINGLE.search(name) is not None
    groups: dict[str, list[str]] = {}
    for key in images.rows:
        video = f"{name}/{_SUFFIXES.sub('', key)}" if single else video_and_number(key)[0]
        groups.setdefault(video, []).append(key)
    return {video: natural_order(groups[video]) for video in natural_order(groups)}


def _reader(index: TsvIndex, keys: list[str], rows: list[int | None]) -> TsvPictures:
    return TsvPictures(
        index.path,
        tuple(k if r is None else index.keys[r] or k for k, r in zip(keys, rows, strict=True)),
        tuple(MISSING if r is None else index.offsets[r] for r in rows),
        tuple(0 if r is None else index.lengths[r] for r in rows),
        FPS,
    )


def _split(name: str) -> Split | None:
    for word in reversed(_WORD.findall(name)):
        if _TRAIN.fullmatch(word.lower()):
            return "train"
        if _VAL.fullmatch(word.lower()):
            return "val"
    return None


def _distinct(videos: list[tuple[str, Video]]) -> Iterator[Video]:
    """The videos under ids of their own; one that is in a val file is val in every file."""
    counts = Counter(video.id for _, video in videos)
    held_out = {video.id for _, video in videos if video.split == "val"}
    for name, video in videos:
        if counts[video.id] == 1:
            yield video
            continue
        split: Split | None = "val" if video.id in held_out else video.split
        yield replace(video, id=f"{name}/{video.id}", split=split)
