"""Frames by their index, from wherever they come; index 0 is the first that a viewer sees."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from preprocess.errors import ClipError, FramesLost
from preprocess.pixels import Pixels, all_of
from preprocess.remote import located
from preprocess.stills import decode_image
from shards.files.digest import sha256

__all__ = [
    "Frame",
    "FrameFolder",
    "FrameReader",
    "ImageFile",
    "Numbered",
    "Timed",
    "frame_rate",
    "frame_times",
    "gaps",
    "numbered_seconds",
    "read_each",
    "read_image",
]


# Seconds by which a step between frames may differ from another because both were rounded.
_ROUNDED = 0.0015
# A pause is rare: of itself and so many steps on either side, so many are half as long at most.
_AROUND, _SELDOM = 50, 5


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as a viewer would show it: upright, with square pixels."""

    index: int
    picture: Pixels
    seconds: float  # since the first frame
    notes: tuple[str, ...] = ()  # what was done to show it, as `preprocess.picture` says

    @property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return all_of(self.picture)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.picture.shape[1], self.picture.shape[0]


class FrameReader(Protocol):
    """Where a video's frames come from."""

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames at strictly increasing indices, each under its index.

        Raises ClipError when one of them cannot be read; the frames before it were yielded. A
        `FramesLost` says how far reading again would fail too.
        """
        ...

    def fingerprint(self) -> str:
        """Tells other content from this one without reading it all: what a rebuild checks."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A reader that knows when its frames were taken."""

    def times(self) -> Sequence[float]:
        """Seconds from the first frame to each, never falling: one a frame."""
        ...


@runtime_checkable
class Numbered(Protocol):
    """A reader of images that their names number; missing numbers are frames that were left out."""

    @property
    def numbers(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class FrameFolder:
    """Frames that are images, already in order.

    `numbers` are theirs in the video, growing, where their names tell: some may be missing.
    `data` tells that their pixels are numbers, such as masks, not colours.
    """

    paths: tuple[Path, ...]
    fps: float
    numbers: tuple[int, ...] = ()
    data: bool = False

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            rgb, notes = read_image(self.paths[index], data=self.data)
            yield Frame(index, rgb, numbered_seconds(self.numbers, index, self.fps), notes)

    def times(self) -> Sequence[float]:
        return [numbered_seconds(self.numbers, i, self.fps) for i in range(len(self.paths))]

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
    data: bool = False  # its pixels are numbers, such as a mask's

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            rgb, notes = read_image(located(self.folder) / self.name, data=self.data)
            yield Frame(index, rgb, 0.0, notes)

    def fingerprint(self) -> str:
        """Of the image's name and size in bytes; the file is not touched."""
        return sha256(f"{self.name} {self.bytes}".encode(errors="surrogateescape"))


def numbered_seconds(numbers: Sequence[int], index: int, fps: float) -> float:
    """When a frame was taken, from the first on; frames without numbers follow each other."""
    return (numbers[index] - numbers[0] if numbers else index) / fps


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def read_image(path: Path, *, data: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image file as `decode_image` shows it. Raises ClipError naming the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClipError(f"{path}: {error.strerror or error}") from error
    return decode_image(content, str(path), data=data)


class _Indexed(Protocol):
    @property
    def index(self) -> int: ...


_Read = TypeVar("_Read", bound=_Indexed)
_Read_co = TypeVar("_Read_co", bound=_Indexed, covariant=True)


class _Reader(Protocol[_Read_co]):
    """What reads frames, or something else of each frame, as `FrameReader` says."""

    def read(self, indices: Sequence[int]) -> Iterator[_Read_co]: ...


def read_each(
    reader: _Reader[_Read], indices: Sequence[int]
) -> Iterator[tuple[int, _Read | ClipError]]:
    """Each of strictly increasing indices, with its frame or why it cannot be read.

    A frame stands at the index that it has itself, whatever came before it. After a failure
    reading starts again behind it, so one bad frame does not cost the others.
    """
    rest = deque(indices)
    while rest:
        lost = rest[0]
        error = ClipError(f"frame {lost} was not found")
        try:
            for frame in reader.read(tuple(rest)):
                while rest and rest[0] < frame.index:
                    yield rest[0], ClipError(f"frame {rest.popleft()} was not found")
                if rest and rest[0] == frame.index:
                    rest.popleft()
                    yield frame.index, frame
        except FramesLost as failure:
            error, lost = failure, failure.last
        except ClipError as failure:
            error = failure
        if rest:
            yield rest.popleft(), error
        while rest and rest[0] <= lost:
            yield rest.popleft(), error


def frame_times(reader: FrameReader, frames: int, fps: float) -> Sequence[float]:
    """Seconds from the first frame to each: the reader's own, evenly spaced where it has none."""
    return reader.times() if isinstance(reader, Timed) else [i / fps for i in range(frames)]


def frame_rate(times: Sequence[float] | np.ndarray) -> float:
    """Frames a second of frames at these times (two or more), whatever pauses are between them.

    The mean of the steps that are as long as the median, but for rounding: containers keep
    milliseconds. A mean of all would count an hour's pause as slow motion. 0 when no time passes
    at all.
    """
    steps = np.diff(np.asarray(times, np.float64))
    steps = steps[steps > 0]
    if not len(steps):
        return 0.0
    median = np.median(steps)
    off = np.abs(steps - median)
    # The median of two kinds of steps, half each, is neither: then both are usual.
    usual = steps[off <= max(median / 10, _ROUNDED, off.min() * (1 + 1e-6))]
    return float(len(usual) / usual.sum())


def gaps(times: Sequence[float], frame_steps: float, *, rhythm: bool = True) -> list[int]:
    """Indices of frames that come more than `frame_steps` usual steps after the frame before.

    A rhythm is no row of pauses: recordings of screens, say, take pictures when something moves.
    So with `rhythm` a step is no gap where more than 5 of it and the 50 on either side are such
    steps, half as long as it or longer.
    """
    if len(times) < 3:
        return []
    steps = np.diff(np.asarray(times, np.float64))
    usual = 1 / (frame_rate(times) or np.inf)
    long = np.where(steps > frame_steps * usual + 1e-9, steps, 0)
    found = []
    for i in np.flatnonzero(long):
        around = long[max(i - _AROUND, 0) : i + _AROUND + 1]
        if not rhythm or np.count_nonzero(around >= steps[i] / 2) <= _SELDOM:
            found.append(int(i) + 1)
    return found
