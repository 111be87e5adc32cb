"""Lists of pictures: csv, tsv or parquet files with a column of paths."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from preprocess.frames import PictureFile

__all__ = ["PATH_COLUMNS", "URL_COLUMNS", "column_names", "listed_pictures"]

PATH_COLUMNS = (
    *("path", "file_path", "filepath", "image_path", "img_path"),
    *("file_name", "filename", "file", "image"),
)
URL_COLUMNS = ("url", "image_url", "img_url", "top_url")


def column_names(path: Path) -> list[str]:
    """The names in a csv or tsv file's first line."""
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
        return next(csv.reader(opened, delimiter=_delimiter(path)), [])


def listed_pictures(
    source: Path, path: Path, column: str
) -> tuple[list[tuple[str, PictureFile]], list[str]]:
    """The pictures of a list with their paths in the source, and what was wrong with the others.

    Paths are relative to the source, or else to the list; what lies outside the source is refused.
    """
    pictures: dict[str, PictureFile] = {}
    folders: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    for value in _values(path, column):
        found = _find(source, path.parent, value)
        if isinstance(found, str):
            faults.setdefault(found, []).append(value)
            continue
        relative, size = found
        if relative in pictures:
            faults.setdefault("names twice", []).append(value)
            continue
        folder, name = os.path.split(os.path.join(source, relative))
        pictures[relative] = PictureFile(folders.setdefault(folder, folder), name, size)
    described = [
        f"{path} {fault} {len(values)} pictures, the first is {values[0]!r}"
        for fault, values in faults.items()
    ]
    return list(pictures.items()), described


def _find(source: Path, folder: Path, value: str) -> tuple[str, int] | str:
    """The path in the source and the size, or what is wrong."""
    root = os.path.normpath(source)
    for base in (root, folder):
        path = os.path.normpath(os.path.join(base, value))
        if not value or not path.startswith(root + os.sep):
            return "has no path in the source for"
        try:
            return os.path.relpath(path, root), os.stat(path).st_size
        except (OSError, ValueError):
            continue
    return "names missing"


def _values(path: Path, column: str) -> Iterator[str]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as opened:
            for batch in opened.iter_batches(columns=[column]):
                yield from (value or "" for value in batch.column(0).to_pylist())
        return
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
        rows: Iterable[dict[str, str | None]] = csv.DictReader(opened, delimiter=_delimiter(path))
        for row in rows:
            yield row.get(column) or ""


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","
