"""Frames by their index, from wherever they come; index 0 is the first that a viewer sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from preprocess.errors import ClipError
from shards.files.digest import sha256

__all__ = [
    "Frame",
    "FrameFolder",
    "FrameReader",
    "ImageFile",
    "decode_image",
    "read_each",
    "read_image",
]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as a viewer would show it: upright, with square pixels."""

    index: int
    rgb: np.ndarray  # (H, W, 3) uint8
    seconds: float  # since the first frame
    notes: tuple[str, ...] = ()  # what was done to show it, as `preprocess.picture` says


class FrameReader(Protocol):
    """Where a video's frames come from."""

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames at strictly increasing indices.

        Raises ClipError when one of them cannot be read; the frames before it were yielded.
        """
        ...

    def fingerprint(self) -> str:
        """Tells other content from this one without reading it all: what a rebuild checks."""
        ...


@dataclass(frozen=True)
class FrameFolder:
    """Frames that are images, already in order."""

    paths: tuple[Path, ...]
    fps: float

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, read_image(self.paths[index]), index / self.fps)

    def fingerprint(self) -> str:
        """Of the images' names and sizes in bytes; one that is absent has no size."""
        files = [(path.name, _size(path)) for path in self.paths]
        return sha256(repr(files).encode(errors="surrogateescape"))


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as a video of one frame.

    Sources have hundreds of thousands of them, and all travel in one plan: nothing but plain
    values, and the folder's name is one object for all that lie in it.
    """

    folder: str
    name: str
    bytes: int  # the file's size when it was listed

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, read_image(Path(self.folder, self.name)), 0.0)

    def fingerprint(self) -> str:
        """Of the image's name and size in bytes; the file is not touched."""
        return sha256(f"{self.name} {self.bytes}".encode(errors="surrogateescape"))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright by its EXIF orientation. Raises ClipError naming the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClipError(f"{path}: {error.strerror or error}") from error
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB from an image file's bytes; `name` is what the ClipError calls it."""
    try:
        buffer = np.frombuffer(content, np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB) if content else None
    except cv2.error as error:  # such as too many pixels
        raise ClipError(f"{name} cannot be decoded as an image: {error.err}") from error
    if image is None:
        raise ClipError(f"{name} is not an image that can be decoded")
    return image


def read_each(reader: FrameReader, indices: Sequence[int]) -> Iterator[Frame | ClipError]:
    """For each of strictly increasing indices its frame, or why it cannot be read.

    After a failure reading starts again behind it, so one bad frame does not cost the others.
    """
    rest = list(indices)
    while rest:
        try:
            for frame in reader.read(tuple(rest)):
                yield frame
                rest.pop(0)
        except ClipError as error:
            yield error
            rest.pop(0)
