"""`annotations/person_keypoints_train2017.json` and `train2017/000000000009.jpg`, also `val2017`.

Where there are no keypoints, `instances_train2017.json` serves; images may lie in `images/`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame, ImageFile
from preprocess.sources.files import Leftovers, find_files, find_images, unique_names
from preprocess.sources.values import Listing, Split, Unreadable, Video
from shards.files.digest import sha256

__all__ = ["Segmentation", "listing", "pack_segmentation", "run_lengths"]

_FINER = 4  # polygons are drawn so many times finer, for edges that are off by less than a pixel
_SHIFT = 4  # cv2's fraction bits


@dataclass(frozen=True, slots=True)
class Segmentation:
    """An image's person mask as COCO describes it; a `FrameReader` of one frame.

    `polygons` are float32 x, y pairs, packed: a plan has tens of thousands of them. `runs` are
    background, person, background ... lengths down the columns, used where there is no polygon.
    """

    name: str
    width: int
    height: int
    polygons: tuple[bytes, ...]
    runs: tuple[int, ...] = ()

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            mask = self._draw() if self.polygons else self._unroll()
            yield Frame(index, np.repeat(mask[..., None], 3, axis=2), 0.0)

    def fingerprint(self) -> str:
        return sha256(repr(self).encode())

    def _draw(self) -> np.ndarray:
        fine = np.zeros((self.height * _FINER, self.width * _FINER), np.uint8)
        for packed in self.polygons:
            points = np.frombuffer(packed, np.float32).reshape(-1, 2)
            # COCO counts from the corner of the first pixel, cv2 from its middle.
            fixed = np.rint((points * _FINER - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(fine, [fixed], 255, shift=_SHIFT)
        coarse = cv2.resize(fine, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.where(coarse > 127, 255, 0).astype(np.uint8)

    def _unroll(self) -> np.ndarray:
        if not self.runs or sum(self.runs) != self.width * self.height:
            raise ClipError(
                f"the segmentation of {self.name} covers {sum(self.runs)} pixels, not "
                f"{self.width}x{self.height}"
            )
        values = np.arange(len(self.runs)) % 2 * 255
        columns = np.repeat(values.astype(np.uint8), self.runs)
        return columns.reshape(self.width, self.height).T


def pack_segmentation(name: str, width: int, height: int, segmentation: Any) -> Segmentation:
    """From an annotation's `segmentation`: a list of polygons, or {"counts": ...}.

    Raises ValueError, TypeError or KeyError when it is neither.
    """
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        runs = run_lengths(counts) if isinstance(counts, str) else [int(c) for c in counts]
        if min(runs, default=0) < 0:
            raise ValueError(f"a run of {min(runs)} pixels")
        return Segmentation(name, width, height, (), tuple(runs))
    polygons = [np.asarray(polygon, np.float32) for polygon in segmentation]
    if not polygons or any(p.ndim != 1 or len(p) < 6 or len(p) % 2 for p in polygons):
        raise ValueError("no polygon of three points or more")
    if not all(np.isfinite(polygon).all() for polygon in polygons):
        raise ValueError("a polygon with a point that is nowhere")
    return Segmentation(name, width, height, tuple(p.tobytes() for p in polygons))


def run_lengths(counts: str) -> list[int]:
    """COCO's compressed run lengths: numbers in groups of 5 bits from the lowest, as characters
    from "0" on; bit 5 tells that more follow, and the sign is in the last group's bit 4. From the
    fourth number on each is the difference to the one before the last."""
    runs: list[int] = []
    number = shift = 0
    for character in counts:
        group = ord(character) - 48
        number |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    return runs


# Which images are taken: exactly one person and no crowd of them, the person's own pixels at
# least this fraction of the image, and this many of the 17 keypoints labelled where they are given.
MIN_AREA = 0.05
MIN_KEYPOINTS = 6

PERSON = 1
_FILE = re.compile(r"(person_keypoints|instances)_((train|val)\w*)")


@dataclass(frozen=True, slots=True)
class _Person:
    image: int
    crowd: bool
    area: float
    keypoints: int | None
    segmentation: Any


@dataclass(frozen=True, slots=True)
class _Image:
    id: int
    name: str
    width: int
    height: int


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """The images of one person, split as COCO is. Masks come from the annotations.

    A whole annotation file is read at once, which takes twice its size in memory meanwhile.
    Raises InputError when there is no annotation file, or one cannot be read.
    """
    annotations = _annotation_files(source)
    if not annotations:
        raise InputError(
            f"{source} is not in COCO's layout: expected annotations/person_keypoints_train2017."
            "json (or instances_train2017.json) and train2017/000000000009.jpg"
        )
    left = Leftovers(source)
    videos: list[Video] = []
    unreadable: list[Unreadable] = []
    for folder, path in sorted(annotations.items()):
        files = _image_files(source, folder, left)
        if not files:
            reason = f"{path} is there, but no image of {folder}/ or images/{folder}/"
            unreadable.append(Unreadable(folder, reason))
            continue
        split: Split = "train" if folder.startswith("train") else "val"
        found, faults = _once(_single_people(path))
        missing = [image.name for image, _ in found if image.name not in files]
        there = [(image, person) for image, person in found if image.name in files]
        names = unique_names([image.name for image, _ in there])
        for name, (image, person) in zip(names, there, strict=True):
            video_id, file = f"{folder}/{name}", files[image.name]
            mask = _mask(image, person)
            videos.append(Video(video_id, 1, 1.0, file, video_id, split, masks=mask))
            on_file()
        if missing:
            missed = f"{folder} lacks {len(missing)} images of {path}, the first is {missing[0]}"
            unreadable.append(Unreadable(folder, missed))
        unreadable += [Unreadable(folder, f"{path} {fault}") for fault in faults]
    if not videos and not unreadable:
        raise InputError(f"{source} holds no image of one person, by COCO's annotations")
    return left.beside(Listing(tuple(videos), tuple(unreadable)))


def _annotation_files(source: Path) -> dict[str, Path]:
    """For each folder of images the file to use: with keypoints where there is one, and of
    annotations/ where it is there.

    Raises InputError where two would do.
    """
    found: dict[str, list[tuple[bool, bool, Path]]] = {}
    for path in find_files(source, (".json",)):
        if match := _FILE.fullmatch(path.stem):
            rank = (match[1] == "person_keypoints", path.parent.name == "annotations", path)
            found.setdefault(match[2], []).append(rank)
    files = {}
    for folder, ranked in found.items():
        *others, best = sorted(ranked, key=lambda rank: rank[:2])
        if others and others[-1][:2] == best[:2]:
            raise InputError(
                f"{others[-1][2]} and {best[2]} both annotate {folder}/: leave one of them there"
            )
        files[folder] = best[2]
    return files


def _image_files(source: Path, folder: str, left: Leftovers) -> dict[str, ImageFile]:
    for root in (source / folder, source / "images" / folder):
        if root.is_dir() and (found := dict(find_images(root, left))):
            return found
    return {}


def _once(
    found: Iterable[tuple[_Image, _Person]],
) -> tuple[list[tuple[_Image, _Person]], list[str]]:
    """Images that one entry names, and what is wrong with the others."""
    chosen = list(found)
    counts = Counter(image.name for image, _ in chosen)
    twice = [name for name, count in counts.items() if count > 1]
    faults = [f"names {len(twice)} images twice, the first is {twice[0]}"] if twice else []
    return [pair for pair in chosen if counts[pair[0].name] == 1], faults


def _single_people(path: Path) -> Iterator[tuple[_Image, _Person]]:
    """By the images' ids, those that show one person well."""
    try:
        content = json.loads(path.read_bytes(), object_hook=_lighten)
        if not any(c["id"] == PERSON and c["name"] == "person" for c in content["categories"]):
            raise InputError(f"{path}: category {PERSON} is not `person`")
        images = {image.id: image for image in content["images"]}
        people: dict[int, list[_Person]] = {}
        for person in content["annotations"]:
            if person is not None:
                people.setdefault(person.image, []).append(person)
        known = sorted(people.keys() & images.keys())
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise InputError(
            f"{path} cannot be read as COCO's annotations: {type(error).__name__}: {error}"
        ) from error
    for image_id in known:
        image, (person, *others) = images[image_id], people[image_id]
        if others or person.crowd or person.area < MIN_AREA * image.width * image.height:
            continue
        if person.keypoints is None or person.keypoints >= MIN_KEYPOINTS:
            yield image, person


def _lighten(entry: dict[str, Any]) -> Any:
    """Keep of each entry what is needed as soon as it is read: of most annotations nothing."""
    if "image_id" in entry:
        if entry["category_id"] != PERSON:
            return None
        area, keypoints = float(entry["area"]), entry.get("num_keypoints")
        if not math.isfinite(area) or not isinstance(keypoints, int | None):
            raise ValueError(
                f"a person of image {entry['image_id']} has area {area} and num_keypoints "
                f"{keypoints!r}"
            )
        return _Person(
            entry["image_id"],
            bool(entry.get("iscrowd", 0)),
            area,
            keypoints,
            entry.get("segmentation"),
        )
    if "file_name" in entry:
        size = entry["width"], entry["height"]
        if not all(isinstance(side, int | float) and 0 < side == side // 1 for side in size):
            raise ValueError(f"{entry['file_name']} is {size[0]!r} by {size[1]!r} pixels")
        if not isinstance(entry["file_name"], str):
            raise ValueError(f"an image's file_name is {entry['file_name']!r}, not a name")
        return _Image(entry["id"], entry["file_name"], *map(int, size))
    return entry


def _mask(image: _Image, person: _Person) -> Segmentation | None:
    try:
        return pack_segmentation(image.name, image.width, image.height, person.segmentation)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
