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


def index_rows(manifests: Iterable[Manifest]) -> list[dict[str, Any]]:
    """Rows of the index, by split, shard and place in the shard.

    `offset` and `length` are the sample's range in its tar; `bytes` is the data in it, `bytes_*`
    that of each modality (0 when absent); the rest is as in `manifest.Sample`.
    """
    rows = []
    for manifest in sorted(manifests, key=lambda m: (m.split, m.index)):
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
    """The Parquet file; equal manifests have equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    table = pa.Table.from_pylist(index_rows(manifests), schema=_schema())
    pq.write_table(table, file, compression="zstd")
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
