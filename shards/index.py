"""`index.parquet`: one row a clip, made from the manifests, for queries and the loader."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shards.errors import ShardsError
from shards.files.storage import Store
from shards.manifest import Manifest
from shards.sample.modalities import JSON, MODALITIES

# Opening a dataset needs the index's name alone: pyarrow takes .3 s to load, and is loaded at use.
if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["INDEX", "index_bytes", "index_rows", "read_index"]

INDEX = "index.parquet"

_GROUP = 1 << 16  # rows that are written, and may be read, at a time
_COLUMNS = [
    ("key", "string"),
    ("split", "string"),
    ("shard", "int32"),
    ("offset", "int64"),
    ("length", "int64"),
    ("video", "string"),
    ("first_frame", "int64"),
    ("frames", "int32"),
    ("fps", "float64"),
    ("width", "int32"),
    ("height", "int32"),
    ("person_coverage", "float64"),
    ("keypoint_score", "float64"),
    ("reference_coverage", "float64"),
    ("subject", "string"),
    ("bytes", "int64"),
]


def _schema() -> "pa.Schema":
    import pyarrow as pa

    columns = _COLUMNS + [(f"bytes_{name}", "int64") for name in (JSON, *MODALITIES)]
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns])


def index_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Rows of the index, in the order of the shard.

    `offset` and `length` are the sample's range in its tar; `bytes` is the data in it, `bytes_*`
    that of each modality (0 when absent); the rest is as in `manifest.Sample`.
    """
    rows = []
    for sample in manifest.samples:
        described = vars(sample)
        sizes = described["sizes"]
        row = {name: described[name] for name, _ in _COLUMNS if name in described}
        row |= {"split": manifest.split, "shard": manifest.index}
        row |= {f"bytes_{name}": sizes.get(name, 0) for name in (JSON, *MODALITIES)}
        # Parquet holds UTF-8 alone; a video's file name may be any bytes.
        for name in ("video", "subject"):
            text = described[name]
            row[name] = text and text.encode("utf-8", "backslashreplace").decode()
        rows.append({**row, "bytes": sum(sizes.values())})
    return rows


def index_bytes(manifests: Iterable[Manifest]) -> bytes:
    """The Parquet file of manifests in the order of split and shard; equal ones have equal bytes.

    They are consumed one by one: a generator keeps few in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    schema = _schema()
    rows: list[dict[str, Any]] = []
    written = False
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for manifest in manifests:
            rows += index_rows(manifest)
            while len(rows) >= _GROUP:
                writer.write_table(pa.Table.from_pylist(rows[:_GROUP], schema=schema))
                written, rows = True, rows[_GROUP:]
        if rows or not written:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return file.getvalue()


def read_index(store: Store) -> list[dict[str, Any]] | None:
    """Rows of a dataset's index; None when there is none. Raises ShardsError when damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = store.read_if_there(INDEX)
    if data is None:
        return None
    try:
        # Arrow's threads, where they still run at exit, can abort the process.
        return pq.read_table(io.BytesIO(data), use_threads=False).to_pylist()
    except pa.ArrowException as error:
        raise ShardsError(f"{store.url(INDEX)}: is damaged ({error})") from error
