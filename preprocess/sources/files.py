"""Finding a source's files, many of them, without opening any, and naming what is not read."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import FrameFolder, FrameReader, ImageFile
from preprocess.remote import RemotePath, entries
from preprocess.sources.values import Listing, PassedOver, Unreadable

__all__ = [
    "IMAGE_SUFFIXES",
    "Leftovers",
    "file_of",
    "find_files",
    "find_images",
    "kind_of",
    "natural_order",
    "numerically",
    "stem",
    "unique_ids",
    "unique_names",
]

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".avif", ".gif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"),
    ".tga",
)

_DIGITS = re.compile(r"\d+|\D+")
_TOLD = 5
_SUFFIX = re.compile(r"\.\w{1,12}")


class Leftovers:
    """What searching a source found and does not read, so that nothing is passed over in silence.

    Paths are relative to the source.
    """

    def __init__(self, source: Path) -> None:
        self._source = str(source)
        self._found: dict[str, tuple[int, str]] = {}  # how many of a kind, and the first
        self.unreadable: list[Unreadable] = []

    def pass_over(self, kind: str, path: str, count: int = 1) -> None:
        relative = self._relative(path)
        files, first = self._found.get(kind, (0, relative))
        self._found[kind] = files + count, min(first, relative, key=numerically)

    def fail(self, path: str, reason: str) -> None:
        """Name a file that is meant and cannot be read."""
        relative = self._relative(path)
        self.unreadable.append(Unreadable(stem(relative), f"{relative} {reason}"))

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        return tuple(
            PassedOver(kind, files, first) for kind, (files, first) in sorted(self._found.items())
        )

    def beside(self, listing: Listing) -> Listing:
        """The listing with what was left."""
        return replace(
            listing,
            unreadable=(*listing.unreadable, *self.unreadable),
            passed_over=(*listing.passed_over, *self.passed_over),
        )

    def in_words(self) -> str:
        """For the end of a message that a source has nothing to read."""
        told = [u.reason for u in self.unreadable]
        told += [f"{p.files} not read: {p.kind} (first: {p.first})" for p in self.passed_over]
        return "".join(f"; {one}" for one in told[:_TOLD])

    def _relative(self, path: str) -> str:
        relative = os.path.relpath(path, self._source)
        # What no encoding knows is written as its bytes: these names go into the dataset.
        return os.fsencode(relative).decode(errors="backslashreplace")


def numerically(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which 2 comes before 10, however either is padded."""
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in _DIGITS.findall(name)]


def natural_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=numerically)


def find_files(source: Path, suffixes: Iterable[str], left: Leftovers | None = None) -> list[Path]:
    """Files below `source` with one of the suffixes, sorted numerically.

    Linked folders are walked, each folder once. `left` learns of what is not read: hidden and
    other files, links that lead nowhere, folders that may not be read.
    Raises InputError when `source` itself may not be read.
    """
    found = (f"{folder}{name}" for folder, name, _ in _walk(source, tuple(suffixes), left))
    return [source / relative for relative in natural_order(found)]


def find_images(
    root: Path, left: Leftovers | None = None, suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> list[tuple[str, ImageFile]]:
    """Each image below `root` and its path in it, sorted and found as `find_files` does."""
    folders: dict[str, str] = {}
    found: dict[str, ImageFile] = {}
    for relative, name, size in _walk(root, suffixes, left):
        if relative not in folders:
            folders[relative] = str(root / relative)
        found[f"{relative}{name}"] = ImageFile(folders[relative], name, size)
    return [(path, found[path]) for path in natural_order(found)]


def _walk(
    source: Path, suffixes: tuple[str, ...], left: Leftovers | None
) -> Iterator[tuple[str, str, int]]:
    """(folder in root, "" or ending in a slash; file name; size in bytes), in any order.

    Folders come before links to folders, and those by their names, so that which of two ways into
    one folder is taken does not depend on the order of a directory.
    """
    left = left or Leftovers(source)
    if isinstance(source, RemotePath):
        yield from _walk_remote(source, suffixes, left)
        return
    root = str(source)
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        if not folders:
            links.sort(reverse=True)
            folder = links.pop()
        else:
            folder = folders.pop()
        path = os.path.join(root, folder)
        try:
            at = os.stat(path)
            if (at.st_dev, at.st_ino) in seen:
                left.pass_over("link to a folder that is read already", path)
                continue
            seen.add((at.st_dev, at.st_ino))
            entries = list(os.scandir(path))
        except OSError as error:
            if not folder:
                raise InputError(f"{root} cannot be read: {error.strerror}") from error
            left.fail(path, f"is a folder that cannot be read: {error.strerror}")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                left.pass_over("hidden", entry.path)
            elif _is_folder(entry):
                (links if entry.is_symlink() else folders).append(f"{folder}{entry.name}/")
            elif (size := _size(entry, left)) is not None:
                if entry.name.lower().endswith(suffixes):
                    yield folder, entry.name, size
                else:
                    left.pass_over(kind_of(entry.name), entry.path)


def _walk_remote(
    source: RemotePath, suffixes: tuple[str, ...], left: Leftovers
) -> Iterator[tuple[str, str, int]]:
    folders = [""]
    while folders:
        folder = folders.pop()
        path = source / folder
        try:
            found = entries(path)
        except OSError as error:
            if not folder:
                raise InputError(f"{source} cannot be read: {error.strerror}") from error
            left.fail(str(path), f"is a folder that cannot be read: {error.strerror}")
            continue
        for name, entry in found.items():
            if name.startswith("."):
                left.pass_over("hidden", str(path / name))
            elif entry.is_folder:
                folders.append(f"{folder}{name}/")
            elif entry.fault:
                left.fail(str(path / name), f"cannot be read: {entry.fault.strerror}")
            elif name.lower().endswith(suffixes):
                yield folder, name, entry.size or 0
            else:
                left.pass_over(kind_of(name), str(path / name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _size(entry: os.DirEntry[str], left: Leftovers) -> int | None:
    """Of a file in bytes; None, and `left` knows why, where there is none."""
    try:
        if entry.is_file():
            return entry.stat().st_size
        if not entry.is_symlink() or os.path.exists(entry.path):
            left.pass_over("neither file nor folder", entry.path)
            return None
        reason = f"is a link to {os.readlink(entry.path)}, which does not exist"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    left.fail(entry.path, reason)
    return None


def kind_of(name: str) -> str:
    """What a file that is not read is counted as: its suffix in small letters, if it has one."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if _SUFFIX.fullmatch(suffix) else "no suffix"


def stem(name: str) -> str:
    """A name or path in slashes without its last suffix."""
    return os.path.splitext(name)[0]


def file_of(reader: FrameReader) -> str:
    """The file, or folder, that frames are read from, for messages."""
    match reader:
        case ImageFile():
            return os.path.join(reader.folder, reader.name)
        case FrameFolder():
            return str(reader.paths[0].parent)
        case _:
            return str(getattr(reader, "path", reader))


def unique_names(paths: list[str], stems: list[str] | None = None) -> list[str]:
    """The paths without suffix; the whole path stays where two would be the same.

    `stems` are used in place of the paths without suffix. Paths that differ get names that differ.
    """
    names = [stem(path) for path in paths] if stems is None else stems
    while True:  # a path may be what another is without suffix: a.mp4 and a.mp4.mkv
        counts = Counter(names)
        longer = [n if counts[n] == 1 else path for n, path in zip(names, paths, strict=True)]
        if longer == names:
            return names
        names = longer


def unique_ids(source: Path, paths: list[Path]) -> list[str]:
    """Paths relative to the source, by `unique_names`."""
    return unique_names([path.relative_to(source).as_posix() for path in paths])
