"""What published programs of other systems write, read as clips: one small adapter each.

fomm, mraa, tps   LOG/reconstruction/png/VIDEO.png, or that folder itself: all frames of a video in
                  one picture, square and side by side; VIDEO with or without .mp4
dreampose         DIR/VIDEO/pred_#17.png: a picture a frame, by the frame's number in its video
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from idol.config.evaluate import Layout
from idol.evaluate.clips import ClipArrays, ClipSet
from idol.evaluate.errors import EvaluationError
from idol.evaluate.folders import FolderClip, size_of
from shards.sample.images import decode_image

__all__ = ["LAYOUTS", "StripClip", "open_published"]

_STRIPS = ("reconstruction", "png")
_CONTAINERS = (".mp4", ".gif", ".avi", ".mov")
_PREDICTED = re.compile(r"pred_#(\d+)\.png")


@dataclass(frozen=True)
class StripClip:
    """A clip whose frames lie side by side in one picture, each as wide as it is high."""

    name: str
    video: str
    file: Path
    numbers: tuple[int, ...]
    size: tuple[int, int]
    has: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        return str(self.file)

    def read(self) -> ClipArrays:
        try:
            strip = decode_image(self.file.read_bytes())
        except ValueError as error:
            raise EvaluationError(f"{self.file}: {error}") from error
        if strip.dtype != np.uint8:
            raise EvaluationError(f"{self.file}: is {strip.dtype}; frames are 8-bit")
        if strip.ndim == 2:
            strip = np.repeat(strip[..., None], 3, axis=2)
        return ClipArrays(np.stack(np.split(strip, len(self.numbers), axis=1)))


def open_published(path: Path, layout: Layout) -> ClipSet:
    """The clips in a folder that one of `LAYOUTS` wrote.

    Raises EvaluationError where it is no such folder.
    """
    if not path.is_dir():
        raise EvaluationError(f"{path}: is no folder")
    return LAYOUTS[layout](path)


def fomm(path: Path) -> ClipSet:
    """First Order Motion Model, `run.py --mode reconstruction`."""
    return _strips(path)


def mraa(path: Path) -> ClipSet:
    """Motion Representations for Articulated Animation, `run.py --mode reconstruction`."""
    return _strips(path)


def tps(path: Path) -> ClipSet:
    """Thin-Plate Spline Motion Model, `run.py --mode reconstruction`."""
    return _strips(path)


def dreampose(path: Path) -> ClipSet:
    """DreamPose, `test.py --output_dir DIR/VIDEO` for each video."""
    folders = sorted(e for e in path.iterdir() if e.is_dir() and not e.name.startswith("."))
    clips: dict[str, FolderClip] = {}
    ignored: Counter[str] = Counter()
    for folder in folders:
        found: dict[int, Path] = {}
        for file in sorted(folder.iterdir()):
            if match := _PREDICTED.fullmatch(file.name):
                number = int(match[1])
                if number in found:
                    raise EvaluationError(f"{file} and {found[number].name} are both one frame")
                found[number] = file
            else:
                ignored[file.suffix.lower()] += 1
        if not found:
            ignored["folders without frames"] += 1
            continue
        files = tuple(found[number] for number in sorted(found))
        size = _one_size(files)
        name = _named(folder.name)
        if name in clips:
            raise EvaluationError(f"{folder}: another folder is of {name} as well")
        clips[name] = FolderClip(name, name, None, files, tuple(sorted(found)), size)
    if not clips:
        raise EvaluationError(f"{path}: has no folder with pred_#NUMBER.png, as DreamPose writes")
    return ClipSet(str(path), "folders", clips, dict(ignored))


LAYOUTS: Mapping[str, Callable[[Path], ClipSet]] = MappingProxyType(
    {"fomm": fomm, "mraa": mraa, "tps": tps, "dreampose": dreampose}
)


def _strips(path: Path) -> ClipSet:
    inner = path.joinpath(*_STRIPS)
    folder = inner if inner.is_dir() else path
    entries = [e for e in sorted(folder.iterdir()) if not e.name.startswith(".")]
    clips: dict[str, StripClip] = {}
    ignored: Counter[str] = Counter()
    for file in entries:
        if file.suffix.lower() != ".png" or not file.is_file():
            ignored[file.suffix.lower() or "folders"] += 1
            continue
        height, width = size_of(file)
        if width % height:
            raise EvaluationError(
                f"{file}: is {width}x{height}, which is no row of square frames: give "
                "LOG/reconstruction/png as the program left it"
            )
        name = _named(file.stem)
        if name in clips:
            raise EvaluationError(f"{file}: {clips[name].file.name} is of {name} as well")
        numbers = tuple(range(width // height))
        clips[name] = StripClip(name, name, file, numbers, (height, height))
    if not clips:
        raise EvaluationError(f"{folder}: has no .png: give LOG, or LOG/reconstruction/png")
    return ClipSet(str(path), "folders", clips, dict(ignored))


def _named(name: str) -> str:
    """A video's name without its container."""
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in _CONTAINERS else name


def _one_size(files: tuple[Path, ...]) -> tuple[int, int]:
    sizes = {file: size_of(file) for file in files}
    first = sizes[files[0]]
    for file, size in sizes.items():
        if size != first:
            raise EvaluationError(f"{file}: is {size[1]}x{size[0]}, not {first[1]}x{first[0]}")
    return first
