"""`videos.parquet`: which videos of a source a dataset is made of, and since which generation.

A dataset that was extended has several generations: the videos that were there when it was begun,
and those of each extension. It tells a later build which video is new, and which has gone or
changed; and on which side of the split each is, for ever.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shards.errors import ShardsError
from shards.files.storage import Store

__all__ = ["VIDEOS", "SourceVideo", "read_videos", "videos_bytes"]

VIDEOS = "videos.parquet"

_COLUMNS = ("id", "generation", "split", "group", "background", "digest")
_ALL_TEXT = ("id", "group", "background", "digest")


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video, or a file that gives none.

    `generation` counts from 0. `split` is its side, None where it is on neither; `digest` tells its
    content from another, and is "" for a file that cannot be read.
    """

    id: str
    generation: int
    split: str | None = None
    group: str = ""
    background: str | None = None
    digest: str = ""


def videos_bytes(videos: Iterable[SourceVideo]) -> bytes:
    """The file; the same videos have the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = list(videos)
    # Parquet's strings are UTF-8 alone; names of files may be any bytes.
    columns = {
        name: [_bytes(getattr(v, name)) for v in listed] if name in _ALL_TEXT
        else [getattr(v, name) for v in listed]
        for name in _COLUMNS
    }  # fmt: skip
    kinds = {name: pa.binary() for name in _ALL_TEXT}
    kinds |= {"generation": pa.int32(), "split": pa.string()}
    table = pa.table(
        {name: pa.array(columns[name], kinds[name]) for name in _COLUMNS},
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def read_videos(store: Store, generations: int) -> dict[str, SourceVideo] | None:
    """The videos of a dataset's first generations by id; None where the file is not there.

    An extension that was stopped before it began may have left more. Raises ShardsError when the
    file is damaged.
    """
    data = store.read_if_there(VIDEOS)
    if data is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(data), use_threads=False).select(_COLUMNS).to_pylist()
        found: dict[str, SourceVideo] = {}
        for row in rows:
            values: dict[str, Any] = {k: _text(v) if k in _ALL_TEXT else v for k, v in row.items()}
            video = SourceVideo(**values)
            if video.generation < generations:
                found[video.id] = video
        return found
    except (pa.ArrowException, KeyError, TypeError, AttributeError) as error:
        raise ShardsError(f"{store.url(VIDEOS)}: is damaged ({error})") from error


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode(errors="surrogateescape")


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="surrogateescape")
