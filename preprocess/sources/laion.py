"""What img2dataset writes, and lists of files: each image is a video of one frame.

In this order: tar files (`00000.tar`), parquet files with images in a column, parquet, csv or tsv
lists with a column of paths; or else the images in the folders (`00000/000000001.jpg`).
"""

from __future__ import annotations

import csv
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame, FrameReader, ImageFile
from preprocess.remote import RemotePath, located, read_exactly
from preprocess.sources.files import (
    IMAGE_SUFFIXES,
    Leftovers,
    file_of,
    find_files,
    find_images,
    kind_of,
    stem,
    unique_names,
)
from preprocess.sources.values import Listing, Unreadable, Video
from preprocess.stills import decode_image
from shards.files.digest import sha256

__all__ = ["listing", "scan_tar"]

Named = tuple[str, FrameReader]

# Files that may hold images, or name them.
_HOLDING = (".tar", ".parquet", ".csv", ".tsv")

_EXPECTED = (
    "expected what img2dataset writes (00000.tar, 00000.parquet with images, or 00000/*.jpg), "
    "or a csv, tsv or parquet list with a column of paths"
)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame an image. No split is published.

    Raises InputError when there is no image, or nothing but addresses of images.
    """
    unreadable: list[Unreadable] = []
    urls: list[Path] = []
    named: list[Named] = []
    left = Leftovers(source)
    for path in find_files(source, _HOLDING):
        local = path.relative_to(source).with_suffix("").as_posix()
        try:
            named += _images(source, path, local, unreadable, urls, left)
        except (OSError, ValueError) as error:  # pyarrow's are among them
            unreadable.append(Unreadable(path.relative_to(source).as_posix(), f"{path}: {error}"))
        on_file()
    if not named:
        left = Leftovers(source)
        found = find_images(source, left)
        names = unique_names([p for p, _ in found])
        named = [(name, image) for name, (_, image) in zip(names, found, strict=True)]
    else:
        _pass_over_others(source, named, left)
    if not named and urls:
        raise InputError(
            f"{urls[0]} lists addresses, not images: download them with img2dataset first "
            f"(img2dataset --url_list {urls[0].name} --input_format {urls[0].suffix[1:]} "
            "--output_format webdataset --output_folder ...) and give --source its output folder"
        )
    if not named:
        reasons = "".join(f"; {u.reason}" for u in unreadable[:3]) + left.in_words()
        raise InputError(f"{source} holds no LAION-style images: {_EXPECTED}{reasons}")
    videos = [Video(name, 1, 1.0, reader, name) for name, reader in _once(named, unreadable)]
    return left.beside(Listing(tuple(videos), tuple(unreadable)))


def _pass_over_others(source: Path, named: list[Named], left: Leftovers) -> None:
    """Tell `left` of all that is neither a list, tar or parquet file nor an image of a list."""
    readers = (reader for _, reader in named if isinstance(reader, ImageFile))
    listed = {os.path.relpath(file_of(reader), str(source)) for reader in readers}
    for relative, image in find_images(source, left, (*_HOLDING, *IMAGE_SUFFIXES)):
        if relative not in listed and not relative.lower().endswith(_HOLDING):
            left.pass_over(kind_of(image.name), str(source / relative))


def _images(
    source: Path,
    path: Path,
    local: str,
    unreadable: list[Unreadable],
    urls: list[Path],
    left: Leftovers,
) -> Iterator[Named]:
    def fault(reason: str | None) -> None:
        if reason:
            unreadable.append(Unreadable(path.relative_to(source).as_posix(), reason))

    suffix = path.suffix.lower()
    if suffix == ".tar":
        members, reason = scan_tar(path, left)
        fault(reason)
        yield from ((f"{local}/{stem(member.name)}", member) for member in members)
        return
    if path.with_suffix(".tar").exists() or path.with_suffix("").is_dir():
        left.pass_over(f"{suffix} of notes on the tar or folder of its name", str(path))
        return  # img2dataset writes them
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        if column := image_column(schema):
            rows, reason = image_rows(path, column)
            fault(reason)
            yield from ((f"{local}/{name}", image) for name, image in rows)
            return
        columns = string_columns(schema)
    else:
        columns = column_names(path)
    lowered = {name.lower(): name for name in columns}
    if known := next((lowered[name] for name in PATH_COLUMNS if name in lowered), None):
        listed, reasons = listed_images(source, path, known)
        for reason in reasons:
            fault(reason)
        names = unique_names([relative for relative, _ in listed])
        yield from zip(names, (image for _, image in listed), strict=True)
    elif any(name in lowered for name in URL_COLUMNS):
        urls.append(path)
        left.pass_over(f"{suffix} of addresses", str(path))
    else:
        left.pass_over(f"{suffix} without a column of images or paths", str(path))


def _once(named: list[Named], unreadable: list[Unreadable]) -> Iterator[Named]:
    """Each name once: two lists may name one file, and a tar may hold a name twice."""
    seen = set()
    for name, reader in named:
        if name in seen:
            unreadable.append(Unreadable(name, f"{name} is there twice; the first is used"))
        else:
            seen.add(name)
            yield name, reader


PATH_COLUMNS = (
    *("path", "file_path", "filepath", "image_path", "img_path"),
    *("file_name", "filename", "file", "image"),
)
_LONGEST_FIELD = 1 << 27  # characters; Python's own limit is shorter than some captions
URL_COLUMNS = ("url", "image_url", "img_url", "top_url")


def column_names(path: Path) -> list[str]:
    """The names in a csv or tsv file's first line."""
    return next(_parsed(path, _delimiter(path)), [])


def listed_images(
    source: Path, path: Path, column: str
) -> tuple[list[tuple[str, ImageFile]], list[str]]:
    """The images of a list with their paths in the source, and what was wrong with the others.

    Paths are relative to the source, or else to the list; what lies outside the source is refused.
    """
    images: dict[str, ImageFile] = {}
    folders: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    for value in _values(path, column):
        found = _find(source, path.parent, value)
        if isinstance(found, str):
            faults.setdefault(found, []).append(value)
            continue
        relative, size = found
        if relative in images:
            faults.setdefault("names twice", []).append(value)
            continue
        folder, name = os.path.split(os.path.join(str(source), relative))
        images[relative] = ImageFile(folders.setdefault(folder, folder), name, size)
    described = [
        f"{path} {fault} {len(values)} images, the first is {values[0]!r}"
        for fault, values in faults.items()
    ]
    return list(images.items()), described


def _find(source: Path, folder: Path, value: str) -> tuple[str, int] | str:
    """The path in the source and the size, or what is wrong."""
    if isinstance(source, RemotePath):
        return _find_remote(source, folder, value)
    root = os.path.abspath(source)
    for base in (root, os.path.abspath(folder)):
        path = os.path.normpath(os.path.join(base, value))
        if not value or not path.startswith(os.path.join(root, "")):
            return "has no path in the source for"
        try:
            there = os.stat(path)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(there.st_mode):  # reading a pipe or a device may never end
            return os.path.relpath(path, root), there.st_size
    return "names missing"


def _find_remote(source: RemotePath, folder: Path, value: str) -> tuple[str, int] | str:
    for base in ("", folder.relative_to(source).as_posix()):
        relative = posixpath.normpath(posixpath.join("/", base, value)).lstrip("/")
        if not value or value.startswith("/") or ".." in value.split("/"):
            return "has no path in the source for"
        try:
            return relative, (source / relative).stat().st_size
        except OSError:
            continue
    return "names missing"


def _values(path: Path, column: str) -> Iterator[str]:
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as opened:
            for batch in opened.iter_batches(columns=[column]):
                yield from (value or "" for value in batch.column(0).to_pylist())
        return
    rows = _rows(path)
    at = next(rows).index(column)
    for row in rows:
        if row:  # no empty line
            yield row[at] if at < len(row) else ""


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a csv or tsv file. Raises ValueError where it is neither.

    Tsv files are written with quotes around fields and without: where a field would span lines,
    its quote is taken for a part of the text, so that no line is swallowed.
    """
    delimiter = _delimiter(path)
    spans = delimiter == "\t" and any("\n" in f for row in _parsed(path, "\t") for f in row)
    return _parsed(path, delimiter, csv.QUOTE_NONE if spans else csv.QUOTE_MINIMAL)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _parsed(path: Path, delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
        rows = csv.reader(opened, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
        try:
            yield from rows
        except csv.Error as error:
            raise ValueError(f"line {rows.line_num}: {error}") from error


_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "img", "image_bytes", "bytes", "content")
_LARGEST_GROUP = 1 << 30  # bytes; a worker holds two at most


@dataclass(frozen=True, slots=True)
class ParquetImage:
    """An image in a parquet file, as a video of one frame.

    `column` is the column's dotted path; `row` counts within the row group.
    """

    path: str
    column: str
    group: int
    row: int
    rows: int  # of the row group when it was listed

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        import pyarrow

        name = f"{self.path}: row {self.row} of row group {self.group}"
        try:
            values = _row_group(
                self.path, located(self.path).stat().st_mtime_ns, self.column, self.group
            )
            content = values[self.row].as_py()
        except (OSError, IndexError, pyarrow.ArrowException) as error:
            raise ClipError(f"{name} cannot be read: {error}") from error
        if content is None:
            raise ClipError(f"{name} has no image")
        for index in indices:
            rgb, notes = decode_image(content, name)
            yield Frame(index, rgb, 0.0, notes)

    def fingerprint(self) -> str:
        """Of the image's place and the size of its row group."""
        text = f"{os.path.basename(self.path)} {self.column} {self.group} {self.row} {self.rows}"
        return sha256(text.encode(errors="surrogateescape"))


@lru_cache(maxsize=2)
def _row_group(path: str, mtime_ns: int, column: str, group: int) -> Any:
    """Neighbours in a row group are read one after the other, and decompressed together."""
    import pyarrow.parquet as pq

    with located(path).open("rb") as file, pq.ParquetFile(file) as opened:
        values = opened.read_row_group(group, columns=[column]).column(0).combine_chunks()
    for name in column.split(".")[1:]:
        values = values.field(name)
    return values


def image_column(schema: Any) -> str | None:
    """The column of image bytes in a pyarrow schema: binary, or a struct that has `bytes`."""
    from pyarrow import types

    def binary(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    for name in _COLUMNS:
        if (place := schema.get_field_index(name)) >= 0:  # of two of one name neither
            kind = schema.field(place).type
            if binary(kind):
                return name
            has_bytes = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
            if has_bytes and binary(kind.field("bytes").type):
                return f"{name}.bytes"
    return None


def string_columns(schema: Any) -> list[str]:
    from pyarrow import types

    return [
        field.name
        for field in schema
        if types.is_string(field.type) or types.is_large_string(field.type)
    ]


def image_rows(path: Path, column: str) -> tuple[list[tuple[str, ParquetImage]], str | None]:
    """Each image with a name that is unique in the file, and what is wrong, if anything.

    Rows without an image are left out: img2dataset writes one for each failed download.
    Raises OSError and pyarrow's errors when the file cannot be read.
    """
    import pyarrow.parquet as pq

    images: list[tuple[str, ParquetImage]] = []
    location, empty, first = str(path), 0, 0
    with path.open("rb") as file, pq.ParquetFile(file) as opened:
        names = _names(opened)
        for group in range(opened.num_row_groups):
            metadata = opened.metadata.row_group(group)
            at = next(i for i in range(metadata.num_columns)
                      if metadata.column(i).path_in_schema == column)  # fmt: skip
            if metadata.column(at).total_uncompressed_size > _LARGEST_GROUP:
                return [], (
                    f"{path} has row groups of more than 1 GB; write it again in smaller ones, "
                    "as with pyarrow's row_group_size=1000"
                )
            filled = _filled(opened, group, column, metadata.column(at).statistics)
            for row in range(metadata.num_rows):
                if filled is None or filled[row]:
                    image = ParquetImage(location, column, group, row, metadata.num_rows)
                    images.append((names[first + row], image))
                else:
                    empty += 1
            first += metadata.num_rows
    return images, f"{path} has {empty} rows without an image" if empty else None


def _names(opened: Any) -> list[str]:
    """img2dataset's keys where they are usable, else row numbers."""
    if "key" in string_columns(opened.schema_arrow):
        keys = opened.read(columns=["key"]).column(0).to_pylist()
        if all(keys) and len(set(keys)) == len(keys):
            return [str(key) for key in keys]
    return [f"{row:06d}" for row in range(opened.metadata.num_rows)]


def _filled(opened: Any, group: int, column: str, statistics: Any) -> list[bool] | None:
    """Which rows of a group have an image; None when all have."""
    if statistics is not None and statistics.has_null_count and not statistics.null_count:
        return None
    if "status" in string_columns(opened.schema_arrow):
        statuses = opened.read_row_group(group, columns=["status"]).column(0).to_pylist()
        return [status == "success" for status in statuses]
    values = opened.read_row_group(group, columns=[column]).column(0).combine_chunks()
    for name in column.split(".")[1:]:
        values = values.field(name)
    valid: list[bool] = values.is_valid().to_pylist()
    return valid


_BLOCK = 512


@dataclass(frozen=True, slots=True)
class TarImage:
    """An image in an uncompressed tar file, as a video of one frame."""

    tar: str
    name: str
    offset: int
    size: int

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        name = f"{self.tar}: {self.name}"
        try:
            with located(self.tar).open("rb", buffering=0) as opened:
                opened.seek(self.offset)
                content = read_exactly(opened, self.size)
        except OSError as error:
            raise ClipError(f"{name}: {error.strerror or error}") from error
        for index in indices:
            rgb, notes = decode_image(content, name)
            yield Frame(index, rgb, 0.0, notes)

    def fingerprint(self) -> str:
        """Of the image's name, place and size."""
        text = f"{self.name} {self.offset} {self.size}"
        return sha256(text.encode(errors="surrogateescape"))


def scan_tar(path: Path, left: Leftovers | None = None) -> tuple[list[TarImage], str | None]:
    """The images of a tar file in its order, and what is wrong with the file, if anything.

    As in WebDataset a member's suffix is all that follows its name's first dot: `1.jpg` is a
    image, `1.mask.png` belongs to one. `left` learns of the other members. Raises OSError when
    the file cannot be read.
    """
    tar = str(path)
    images: list[TarImage] = []
    others: dict[str, list[str]] = {}
    fault = None
    try:
        for name, offset, size in _members(path):
            base = posixpath.basename(name)
            if not base.startswith(".") and f".{base.partition('.')[2]}".lower() in (
                IMAGE_SUFFIXES
            ):
                images.append(TarImage(tar, name, offset, size))
            else:
                others.setdefault(kind_of(base), []).append(name)
    except ValueError as error:
        fault = f"{path} {error}; {len(images)} images before that are used"
    if left is not None:
        for kind, names in others.items():
            left.pass_over(f"{kind} in tar files", os.path.join(tar, names[0]), len(names))
    return images, fault


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of each regular file. Raises ValueError where the tar is damaged."""
    total = path.stat().st_size
    with path.open("rb", buffering=1 << 16) as opened:
        position = 0
        renamed: str | None = None
        resized: int | None = None
        while header := opened.read(_BLOCK):
            if not header.strip(b"\0"):
                return
            if len(header) < _BLOCK:
                raise ValueError(f"is cut off at byte {position}")
            kind, data = header[156:157], position + _BLOCK
            size = resized if resized is not None and kind in b"0\0" else _number(header[124:136])
            # The sum is taken with spaces in its own place.
            expected = sum(header) - sum(header[148:156]) + sum(b" " * 8)
            if size < 0 or _number(header[148:156]) != expected:
                raise ValueError(f"is no tar file, or damaged, at byte {position}")
            if data + size > total:
                raise ValueError(f"is cut off in {renamed or _name(header)}")
            if kind in b"Lx":
                content = opened.read(size)
                if kind == b"L":
                    renamed = _text(content)
                else:
                    try:
                        renamed, resized = _pax(content, renamed)
                    except ValueError:
                        raise ValueError(f"has a damaged pax header at byte {position}") from None
            else:
                if kind in b"0\0":
                    yield renamed or _name(header), data, size
                renamed = resized = None
            position = data + -(-size // _BLOCK) * _BLOCK
            opened.seek(position)


def _number(field: bytes) -> int:
    """An octal number, or a binary one as sizes beyond 8 GB have it; -1 for neither."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if re.fullmatch(rb"[0-7]*", digits) else -1


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _pax(content: bytes, name: str | None) -> tuple[str | None, int | None]:
    """The name and size in a pax header, of records `length keyword=value` and a line end."""
    size = None
    while content:
        length = int(content.partition(b" ")[0])
        keyword, _, value = content[:length].partition(b" ")[2].rstrip(b"\n").partition(b"=")
        if keyword == b"path":
            name = value.decode(errors="surrogateescape")
        elif keyword == b"size":
            size = int(value)
        if length <= 0:
            raise ValueError(length)
        content = content[length:]
    return name, size
