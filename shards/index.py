"""`index.parquet`: one row a clip, made from the manifests, for queries and the loader."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards.errors import ShardsError
from shards.files.storage import Store
from shards.manifest import Manifest
from shards.sample.modalities import JSON, MODALITIES

__all__ = ["INDEX", "index_bytes", "index_rows", "read_index"]

INDEX = "index.parquet"

_COLUMNS = [
    ("key", pa.string()),
    ("split", pa.string()),
    ("shard", pa.int32()),
    ("offset", pa.int64()),
    ("length", pa.int64()),
    ("video", pa.string()),
    ("first_frame", pa.int64()),
    ("frames", pa.int32()),
    ("fps", pa.float64()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("person_coverage", pa.float64()),
    ("keypoint_score", pa.float64()),
    ("bytes", pa.int64()),
]


def _schema() -> pa.Schema:
    return pa.schema(_COLUMNS + [(f"bytes_{name}", pa.int64()) for name in (JSON, *MODALITIES)])


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
            video = sample.video
            row["video"] = video and video.encode("utf-8", "backslashreplace").decode()
            rows.append({**row, "bytes": sum(sizes.values())})
    return rows


def index_bytes(manifests: Iterable[Manifest]) -> bytes:
    """The Parquet file; equal manifests have equal bytes."""
    file = io.BytesIO()
    table = pa.Table.from_pylist(index_rows(manifests), schema=_schema())
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def read_index(store: Store) -> list[dict[str, Any]] | None:
    """Rows of a dataset's index; None when there is none. Raises ShardsError when damaged."""
    data = store.read_if_there(INDEX)
    if data is None:
        return None
    try:
        return pq.read_table(io.BytesIO(data)).to_pylist()
    except pa.ArrowException as error:
        raise ShardsError(f"{store.url(INDEX)}: is damaged ({error})") from error
