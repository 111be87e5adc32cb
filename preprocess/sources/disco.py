"""DisCo's distribution of TikTok, and of images for pre-training, as TSV files.

`TikTokDance/train_images.tsv` holds lines of `key <tab> base64`, `train_masks.tsv` beside it the
masks by the same keys, each with its `.lineidx`. Keys tell the videos, as they do for DisCo's own
reader: `TiktokDance_00001_0001.png`, `TiktokDance_201_002_1x1_00030.jpg`. Its other files
(`vid2line`, captions, the yaml files of a composite) repeat that and are not read; poses are drawn
images, from which no keypoints can be read.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame, numbered_seconds
from preprocess.remote import RemotePath, read_exactly
from preprocess.sources.files import Leftovers, find_files, natural_order
from preprocess.sources.numbers import distinct, frame_numbers
from preprocess.sources.values import Listing, Split, Unreadable, Video
from preprocess.stills import decode_image
from shards.files.digest import sha256

__all__ = [
    "HELD_OUT",
    "TsvImages",
    "image_of_line",
    "index_tsv",
    "listing",
    "video_and_number",
]

FPS = 30.0
# The validation videos of DisCo and IDOL; those in two parts are found nowhere else.
HELD_OUT = frozenset(
    ("00337", "00338", "201_002", "201_005", "201_021", "201_024")
    + ("202_006", "202_007", "202_025", "203_006")
)

_IMAGES, _MASKS, _OFFSETS = "_images.tsv", "_masks.tsv", ".lineidx"
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
    left = Leftovers(source)
    read = find_files(source, (_IMAGES, _MASKS, _OFFSETS), left)
    files = [path for path in read if path.name.lower().endswith(_IMAGES)]
    masks = [path for path in read if path.name.lower().endswith(_MASKS)]
    if not files:
        raise InputError(
            f"{source} is not in DisCo's layout: expected TSV files of `key <tab> base64` such as "
            "TikTokDance/train_images.tsv, with train_masks.tsv beside it"
        )
    videos: list[tuple[str, Video]] = []
    unreadable: list[Unreadable] = []
    for path in files:
        name = path.relative_to(source).as_posix()[: -len(_IMAGES)]
        try:
            videos += [(name, video) for video in _videos(source, path, masks, name, unreadable)]
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            unreadable.append(Unreadable(name, reason))
        on_file()
    return left.beside(Listing(tuple(_distinct(videos)), tuple(unreadable)))


def video_and_number(key: str) -> tuple[str, int | None]:
    """The video's id in an image's key and the frame's number; None for an image on its own."""
    stem = _SUFFIXES.sub("", key)
    match = _NUMBERED.fullmatch(stem)
    if match is None:
        return stem, None
    published = _PUBLISHED_ID.fullmatch(match[1])
    return published[1] if published else match[1], int(match[2])


def _beside(path: Path, masks: list[Path]) -> Path | None:
    """The masks' file of an images' one; of those that differ in case alone the most like it."""
    stem = path.name[: -len(_IMAGES)]
    named = f"{stem}{_MASKS}"
    found = [m for m in masks if m.parent == path.parent and m.name.lower() == named.lower()]
    return max(found, key=lambda m: (m.name == named, m.name.startswith(stem)), default=None)


def _videos(
    source: Path, path: Path, all_masks: list[Path], name: str, unreadable: list[Unreadable]
) -> Iterator[Video]:
    images = index_tsv(path)
    beside = _beside(path, all_masks)
    masks = index_tsv(beside) if beside else None
    faults = [(index.path, reason) for index in (images, masks) if index for reason in index.faults]
    if not images.rows:
        faults.append((path, f"{path} has no image"))
    unreadable += [Unreadable(p.relative_to(source).as_posix(), reason) for p, reason in faults]
    mask_rows = {_SUFFIXES.sub("", key): row for key, row in masks.rows.items()} if masks else {}
    for video, keys in _grouped(name, images).items():
        kept, doubles = distinct(_SUFFIXES.sub("", key) for key in keys)
        if doubles:
            reason = (
                f"{path}: {len(doubles)} images left out whose number another has "
                f"(first: {doubles[0][0]}, as {doubles[0][1]})"
            )
            unreadable.append(Unreadable(video, reason))
        keys = [keys[place] for place in kept]
        stems = [_SUFFIXES.sub("", key) for key in keys]
        rows = [mask_rows.get(stem) for stem in stems]
        yield Video(
            video,
            len(keys),
            FPS,
            _reader(images, keys, [images.rows[key] for key in keys], frame_numbers(stems)),
            group=video,
            split="val" if video in HELD_OUT else _split(name),
            masks=_reader(masks, keys, rows, data=True) if masks else None,
        )


def _grouped(name: str, images: TsvIndex) -> dict[str, list[str]]:
    """Keys of each video in the order of their numbers, videos in the order of theirs."""
    single = _SINGLE.search(name) is not None
    groups: dict[str, list[str]] = {}
    for key in images.rows:
        video = f"{name}/{_SUFFIXES.sub('', key)}" if single else video_and_number(key)[0]
        groups.setdefault(video, []).append(key)
    return {video: natural_order(groups[video]) for video in natural_order(groups)}


def _reader(
    index: TsvIndex,
    keys: list[str],
    rows: list[int | None],
    numbers: tuple[int, ...] = (),
    *,
    data: bool = False,
) -> TsvImages:
    return TsvImages(
        index.path,
        tuple(k if r is None else index.keys[r] or k for k, r in zip(keys, rows, strict=True)),
        tuple(MISSING if r is None else index.offsets[r] for r in rows),
        tuple(0 if r is None else index.lengths[r] for r in rows),
        FPS,
        numbers,
        data,
    )


def _split(name: str) -> Split | None:
    for word in reversed(_WORD.findall(name)):
        if _TRAIN.fullmatch(word.lower()):
            return "train"
        if _VAL.fullmatch(word.lower()):
            return "val"
    return None


def _distinct(videos: list[tuple[str, Video]]) -> Iterator[Video]:
    """The videos under ids of their own; one that is in a val file is val in every file, and one
    that is in a train file is train in those that name no side."""
    counts = Counter(video.id for _, video in videos)
    sides: dict[str, Split | None] = {}
    for _, video in videos:
        sides[video.id] = "val" if video.split == "val" else sides.get(video.id) or video.split
    for name, video in videos:
        if counts[video.id] == 1:
            yield video
            continue
        yield replace(video, id=f"{name}/{video.id}", split=sides[video.id])


MISSING = -1  # the offset of a line that is not there

_CHUNK = 1 << 22
_HEAD = 512  # bytes in which a line's key must end
_LONGEST_LINE = 1 << 28
_LEAST_IMAGE = 64  # characters; the smallest PNG takes more


@dataclass(frozen=True, eq=False)
class TsvIndex:
    """Where the images of a TSV file are: line i has `keys[i]` at byte `offsets[i]`.

    Lines without a key or an image keep their place and have the key None, because other files
    count lines. `faults` says what was wrong with them.
    """

    path: Path
    keys: list[str | None]
    offsets: array[int]
    lengths: array[int]
    faults: tuple[str, ...]
    rows: dict[str, int] = field(repr=False)  # line by key

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class TsvImages:
    """Frames that are lines of a TSV file, already in order; a `FrameReader`.

    `data` tells that their pixels are numbers, such as masks, not colours.
    """

    path: Path
    keys: tuple[str, ...]
    offsets: tuple[int, ...]  # MISSING where the file has no such key
    lengths: tuple[int, ...]
    fps: float
    numbers: tuple[int, ...] = ()  # of the frames in their video, where keys tell; growing
    data: bool = False

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        try:
            with self.path.open("rb", buffering=0) as opened:
                for index in indices:
                    rgb, notes = self._image(opened, index)
                    seconds = numbered_seconds(self.numbers, index, self.fps)
                    yield Frame(index, rgb, seconds, notes)
        except OSError as error:
            raise ClipError(f"{self.path}: {error.strerror or error}") from error

    def times(self) -> Sequence[float]:
        return [numbered_seconds(self.numbers, i, self.fps) for i in range(len(self.keys))]

    def _image(self, file: BinaryIO, index: int) -> tuple[np.ndarray, tuple[str, ...]]:
        key, name = self.keys[index], f"{self.path}: {self.keys[index]}"
        if self.offsets[index] == MISSING:
            raise ClipError(f"{self.path} has no image for {key}")
        file.seek(self.offsets[index])
        line = read_exactly(file, self.lengths[index])
        if _key(line) != key:
            raise ClipError(f"{name} is not where it was listed: the file has changed")
        return decode_image(image_of_line(line, name), name, data=self.data)

    def fingerprint(self) -> str:
        """Of the lines' keys and lengths."""
        lines = repr(list(zip(self.keys, self.lengths, strict=True)))
        return sha256(lines.encode(errors="surrogateescape"))


def index_tsv(path: Path) -> TsvIndex:
    """Find the lines of a TSV file. Raises OSError when it cannot be read."""
    offsets, lengths = array("q"), array("q")
    keys: list[str | None] = []
    rows: dict[str, int] = {}
    faults: dict[str, list[int]] = {}
    for offset, length, head in _by_lineidx(path) or _by_scan(path):
        key = _key(head)
        row = len(keys)
        offsets.append(offset)
        lengths.append(length)
        keys.append(None)
        if not head.strip():
            continue
        if key is None:
            faults.setdefault("without a key and a tab", []).append(row)
        elif length - len(head.partition(b"\t")[0]) < _LEAST_IMAGE:
            faults.setdefault("without an image", []).append(row)
        elif key in rows:
            faults.setdefault("whose key an earlier line has", []).append(row)
        else:
            keys[row] = key
            rows[key] = row
    described = tuple(
        f"{path} has {len(lines)} lines {fault}, the first is line {lines[0] + 1}"
        for fault, lines in faults.items()
    )
    return TsvIndex(path, keys, offsets, lengths, described, rows)


def image_of_line(line: bytes, name: str) -> bytes:
    """The image file in a line; `name` is what the ClipError calls it.

    The columns are a key, base64, and of masks perhaps whether it is valid: `False` where nobody
    was found.
    """
    # A `.lineidx` may leave lines out, which then follow here.
    columns = line.partition(b"\n")[0].rstrip(b"\r").split(b"\t")[1:]
    if len(columns) > 1 and columns[-1].strip() == b"False":
        raise ClipError(f"{name} is marked as not valid")
    text = max(columns, key=len, default=b"").strip()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ClipError(f"{name} is not base64: {error}") from error


def _key(head: bytes) -> str | None:
    key, tab, _ = head.removeprefix(b"\xef\xbb\xbf").partition(b"\t")
    text = key.strip().decode(errors="surrogateescape")
    return text if tab and text else None


def _by_scan(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length without the line end, first bytes) of each line, in one pass."""
    with path.open("rb", buffering=0) as opened:
        start = position = 0
        head = b""
        while chunk := opened.read(_CHUNK):
            at = 0
            while (end := chunk.find(b"\n", at)) >= 0:
                head += chunk[at : min(end, at + _HEAD)]
                yield start, position + end - start, head[:_HEAD]
                at, head = end + 1, b""
                start = position + at
            head = (head + chunk[at : at + _HEAD])[:_HEAD]
            position += len(chunk)
        if position > start:
            yield start, position - start, head


def _by_lineidx(path: Path) -> list[tuple[int, int, bytes]]:
    """The same by the offsets in `.lineidx`, or nothing where there is none that fits the file.

    Of a file at a URL neither: a request for each line takes longer than to read it through.
    """
    if isinstance(path, RemotePath):
        return []
    try:
        offsets = _increasing(map(int, path.with_suffix(_OFFSETS).read_text().split()))
        size = path.stat().st_size
        lines = []
        with open(path, "rb") as opened:
            opened.seek(offsets[-1])
            tail = opened.readline(_LONGEST_LINE)
            if offsets[-1] + len(tail) != size:
                return []  # lines were added since
            for start, end in zip(
                offsets, [*offsets[1:], size + (tail[-1:] != b"\n")], strict=True
            ):
                head = os.pread(opened.fileno(), _HEAD + 1, max(start - 1, 0))
                before, head = (head[:1], head[1:]) if start else (b"\n", head[:_HEAD])
                if before != b"\n":
                    return []
                key, tab, _ = head[: end - start - 1].partition(b"\t")
                lines.append((start, end - start - 1, key + tab))
        return lines
    except (OSError, ValueError, IndexError):
        return []


def _increasing(offsets: Iterable[int]) -> list[int]:
    """The offsets. Raises ValueError unless they start at 0 and increase."""
    listed = list(offsets)
    if listed[:1] != [0] or any(a >= b for a, b in pairwise(listed)):
        raise ValueError("not offsets of lines")
    return listed
