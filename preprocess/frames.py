"""Frames by their index, from wherever they come; index 0 is the first that a viewer sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from preprocess.errors import ClipError

__all__ = ["Frame", "FrameFolder", "FrameReader", "read_each", "read_image"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as a viewer would show it: upright, with square pixels."""

    index: int
    rgb: np.ndarray  # (H, W, 3) uint8
    seconds: float  # since the first frame


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
    """Frames that are pictures, already in order."""

    paths: tuple[Path, ...]
    fps: float

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, read_image(self.paths[index]), index / self.fps)

    def fingerprint(self) -> str:
        """Of the pictures' names and sizes in bytes; one that is absent has no size."""
        files = [(path.name, _size(path)) for path in self.paths]
        return hashlib.sha256(repr(files).encode(errors="surrogateescape")).hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright by its EXIF orientation. Raises ClipError naming the file."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ClipError(f"{path}: {error.strerror or error}") from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if content.size else None
    if image is None:
        raise ClipError(f"{path} is not a picture that can be decoded")
    return image


def read_each(reader: FrameReader, indices: Sequence[int]) -> Iterator[Frame | ClipError]:
    """For each of strictly increasing indices its frame, or why it cannot be read.

    After a failure reading starts anew behind it, so one bad frame does not cost the others.
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
