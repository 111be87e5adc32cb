"""Finding a source's files, many of them, without opening any."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from preprocess.frames import ImageFile

__all__ = [
    "IMAGE_SUFFIXES",
    "find_files",
    "find_images",
    "natural_order",
    "numerically",
    "stem",
    "unique_ids",
    "unique_names",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_DIGITS = re.compile(r"\d+|\D+")


def numerically(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which 2 comes before 10, however either is padded."""
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in _DIGITS.findall(name)]


def natural_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=numerically)


def find_files(source: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files below `source` with one of the suffixes, hidden ones left out, sorted numerically."""
    found = (f"{folder}{name}" for folder, name, _ in _walk(str(source), tuple(suffixes)))
    return [source / relative for relative in natural_order(found)]


def find_images(
    root: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> list[tuple[str, ImageFile]]:
    """Each image below `root` and its path in it, sorted numerically; hidden ones left out."""
    folders: dict[str, str] = {}
    found: dict[str, ImageFile] = {}
    for relative, name, size in _walk(str(root), suffixes):
        if relative not in folders:
            folders[relative] = str(root / relative)
        found[f"{relative}{name}"] = ImageFile(folders[relative], name, size)
    return [(path, found[path]) for path in natural_order(found)]


def _walk(root: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """(folder in root, "" or ending in a slash; file name; size in bytes), in any order."""
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{folder}{entry.name}/")
                elif entry.name.lower().endswith(suffixes) and entry.is_file():
                    yield folder, entry.name, entry.stat().st_size


def stem(name: str) -> str:
    """A name or path in slashes without its last suffix."""
    return os.path.splitext(name)[0]


def unique_names(paths: list[str]) -> list[str]:
    """The paths without suffix; the suffix stays where two would be the same."""
    stems = [stem(path) for path in paths]
    counts = Counter(stems)
    return [s if counts[s] == 1 else path for s, path in zip(stems, paths, strict=True)]


def unique_ids(source: Path, paths: list[Path]) -> list[str]:
    """Paths relative to the source, by `unique_names`."""
    return unique_names([path.relative_to(source).as_posix() for path in paths])
