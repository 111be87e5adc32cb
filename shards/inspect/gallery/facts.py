"""What a page knows of all clips before it looks into one: columns, by which they are sorted."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from shards.inspect.stats import scores
from shards.manifest import count_totals
from shards.reader import Dataset, Entry

__all__ = ["edition", "facts", "overview", "quarantined"]

_COLUMNS = ("key", "video", "frames", "fps", "width", "height", "length", "subject")
_DIGITS = 5


def edition(dataset: Dataset) -> str:
    """Changes when the dataset does, so that an open page can notice."""
    said = ((shard.name, shard.manifest.sha256, shard.manifest.bytes) for shard in dataset.shards)
    return hashlib.sha256(repr(list(said)).encode()).hexdigest()[:12]


def facts(
    entries: Sequence[Entry], measured: Mapping[str, Mapping[str, float | None]] | None = None
) -> dict[str, Any]:
    """Columns of these clips: what manifests say of them, `split`, `shard`, and in `scores` the
    measures that are known, those `measured` (by key) among them; null where a clip has none."""
    columns: dict[str, Any] = {
        name: [_plain(getattr(entry.sample, name)) for entry in entries] for name in _COLUMNS
    }
    columns["split"] = [entry.shard.manifest.split for entry in entries]
    columns["shard"] = [entry.shard.name for entry in entries]
    found: dict[str, list[float | None]] = {}
    for name in scores():
        values = [
            _rounded(
                (measured or {}).get(entry.key, {}).get(name, getattr(entry.sample, name, None))
            )
            for entry in entries
        ]
        if any(value is not None for value in values):
            found[name] = values
    return {"count": len(entries), "columns": columns, "scores": found}


def overview(dataset: Dataset) -> dict[str, Any]:
    """What is said of the whole dataset: totals, recipe, software, weights, shards left out."""
    info = dataset.info
    return {
        "name": dataset.url.rstrip("/").rpartition("/")[2] or dataset.url,
        "url": dataset.url,
        "edition": edition(dataset),
        "totals": count_totals([shard.manifest for shard in dataset.shards]),
        "status": info.status if info else "",
        "fingerprint": info.fingerprint if info else "",
        "recipe": info.recipe if info else {},
        "software": info.software if info else {},
        "weights": info.weights if info else {},
        "ignored": [str(error) for error in dataset.ignored],
        "scores": {name: asdict(score) for name, score in scores().items()},
    }


def quarantined(dataset: Dataset) -> list[dict[str, Any]]:
    """Each quarantined clip: all that its shard's manifest says of it, and the shard."""
    return [
        {**asdict(clip), "split": shard.manifest.split, "shard": shard.name}
        for shard in dataset.shards
        for clip in shard.manifest.quarantined
    ]


def _plain(value: Any) -> Any:
    # A manifest may say NaN, which JSON cannot.
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _rounded(value: float | None) -> float | None:
    return round(float(value), _DIGITS) if value is not None and np.isfinite(value) else None
