"""Pictures in parquet files, as bytes in a column: read one row group at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from preprocess.errors import ClipError
from preprocess.frames import Frame, decode_image
from shards.files.digest import sha256

__all__ = ["ParquetPicture", "picture_column", "picture_rows", "string_columns"]

_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "img", "image_bytes", "bytes", "content")
_LARGEST_GROUP = 1 << 30  # bytes; a worker holds two at most


@dataclass(frozen=True, slots=True)
class ParquetPicture:
    """A picture in a parquet file, as a video of one frame.

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
            values = _row_group(self.path, os.stat(self.path).st_mtime_ns, self.column, self.group)
            content = values[self.row].as_py()
        except (OSError, IndexError, pyarrow.ArrowException) as error:
            raise ClipError(f"{name} cannot be read: {error}") from error
        if content is None:
            raise ClipError(f"{name} has no picture")
        for index in indices:
            yield Frame(index, decode_image(content, name), 0.0)

    def fingerprint(self) -> str:
        """Of the picture's place and the size of its row group."""
        text = f"{os.path.basename(self.path)} {self.column} {self.group} {self.row} {self.rows}"
        return sha256(text.encode(errors="surrogateescape"))


@lru_cache(maxsize=2)
def _row_group(path: str, mtime_ns: int, column: str, group: int) -> Any:
    """Neighbours in a row group are read one after the other, and decompressed together."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as opened:
        values = opened.read_row_group(group, columns=[column]).column(0).combine_chunks()
    for name in column.split(".")[1:]:
        values = values.field(name)
    return values


def picture_column(schema: Any) -> str | None:
    """The column of picture bytes in a pyarrow schema: binary, or a struct that has `bytes`."""
    from pyarrow import types

    def binary(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    for name in _COLUMNS:
        if name in schema.names:
            kind = schema.field(name).type
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


def picture_rows(path: Path, column: str) -> tuple[list[tuple[str, ParquetPicture]], str | None]:
    """Each picture with a name that is unique in the file, and what is wrong, if anything.

    Rows without a picture are left out: img2dataset writes one for each failed download.
    Raises OSError and pyarrow's errors when the file cannot be read.
    """
    import pyarrow.parquet as pq

    pictures: list[tuple[str, ParquetPicture]] = []
    location, empty, first = str(path), 0, 0
    with pq.ParquetFile(path) as opened:
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
                    picture = ParquetPicture(location, column, group, row, metadata.num_rows)
                    pictures.append((names[first + row], picture))
                else:
                    empty += 1
            first += metadata.num_rows
    return pictures, f"{path} has {empty} rows without a picture" if empty else None


def _names(opened: Any) -> list[str]:
    """img2dataset's keys where they are usable, else row numbers."""
    if "key" in string_columns(opened.schema_arrow):
        keys = opened.read(columns=["key"]).column(0).to_pylist()
        if all(keys) and len(set(keys)) == len(keys):
            return [str(key) for key in keys]
    return [f"{row:06d}" for row in range(opened.metadata.num_rows)]


def _filled(opened: Any, group: int, column: str, statistics: Any) -> list[bool] | None:
    """Which rows of a group have a picture; None when all have."""
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
