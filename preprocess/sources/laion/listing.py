"""What img2dataset writes, and lists of files: each picture is a video of one frame.

In this order: tar files (`00000.tar`), parquet files with pictures in a column, parquet, csv or tsv
lists with a column of paths; or else the pictures in the folders (`00000/000000001.jpg`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import FrameReader
from preprocess.sources.files import find_files, find_pictures, stem, unique_names
from preprocess.sources.laion.lists import (
    PATH_COLUMNS,
    URL_COLUMNS,
    column_names,
    listed_pictures,
)
from preprocess.sources.laion.parquet import picture_column, picture_rows, string_columns
from preprocess.sources.laion.tars import scan_tar
from preprocess.sources.values import Listing, Unreadable, Video

Named = tuple[str, FrameReader]

_EXPECTED = (
    "expected what img2dataset writes (00000.tar, 00000.parquet with pictures, or 00000/*.jpg), "
    "or a csv, tsv or parquet list with a column of paths"
)


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame a picture. No split is published.

    Raises InputError when there is no picture, or nothing but addresses of pictures.
    """
    unreadable: list[Unreadable] = []
    urls: list[Path] = []
    named: list[Named] = []
    for path in find_files(source, (".tar", ".parquet", ".csv", ".tsv")):
        local = path.relative_to(source).with_suffix("").as_posix()
        try:
            named += _pictures(source, path, local, unreadable, urls)
        except (OSError, ValueError) as error:  # pyarrow's are among them
            unreadable.append(Unreadable(path.relative_to(source).as_posix(), f"{path}: {error}"))
        on_file()
    if not named:
        found = find_pictures(source)
        names = unique_names([p for p, _ in found])
        named = [(name, picture) for name, (_, picture) in zip(names, found, strict=True)]
    if not named and urls:
        raise InputError(
            f"{urls[0]} lists addresses, not pictures: download them with img2dataset first "
            f"(img2dataset --url_list {urls[0].name} --input_format {urls[0].suffix[1:]} "
            "--output_format webdataset --output_folder ...) and give --source its output folder"
        )
    if not named:
        reasons = "".join(f"; {u.reason}" for u in unreadable[:3])
        raise InputError(f"{source} holds no LAION-style pictures: {_EXPECTED}{reasons}")
    videos = [Video(name, 1, 1.0, reader, name) for name, reader in _once(named, unreadable)]
    return Listing(tuple(videos), tuple(unreadable))


def _pictures(
    source: Path, path: Path, local: str, unreadable: list[Unreadable], urls: list[Path]
) -> Iterator[Named]:
    def fault(reason: str | None) -> None:
        if reason:
            unreadable.append(Unreadable(path.relative_to(source).as_posix(), reason))

    if path.suffix == ".tar":
        members, reason = scan_tar(path)
        fault(reason)
        yield from ((f"{local}/{stem(member.name)}", member) for member in members)
        return
    if path.with_suffix(".tar").exists() or path.with_suffix("").is_dir():
        return  # img2dataset's notes on the tar or folder of the same name
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        if column := picture_column(schema):
            rows, reason = picture_rows(path, column)
            fault(reason)
            yield from ((f"{local}/{name}", picture) for name, picture in rows)
            return
        columns = string_columns(schema)
    else:
        columns = column_names(path)
    lowered = {name.lower(): name for name in columns}
    if known := next((lowered[name] for name in PATH_COLUMNS if name in lowered), None):
        listed, reasons = listed_pictures(source, path, known)
        for reason in reasons:
            fault(reason)
        names = unique_names([relative for relative, _ in listed])
        yield from zip(names, (picture for _, picture in listed), strict=True)
    elif any(name in lowered for name in URL_COLUMNS):
        urls.append(path)


def _once(named: list[Named], unreadable: list[Unreadable]) -> Iterator[Named]:
    """Each name once: two lists may name one file, and a tar may hold a name twice."""
    seen = set()
    for name, reader in named:
        if name in seen:
            unreadable.append(Unreadable(name, f"{name} is there twice; the first is used"))
        else:
            seen.add(name)
            yield name, reader
