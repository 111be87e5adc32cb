"""`idol-shards stats`: what a dataset holds, and how good its annotations are."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from shards.errors import BadSample, BadTar
from shards.manifest import count_totals
from shards.reader import Dataset, Entry, read_sample
from shards.sample.codec import decode_arrays
from shards.sample.modalities import measures

__all__ = ["dataset_stats"]

_Track = Callable[[list[Entry]], Iterable[Entry]]


def dataset_stats(dataset: Dataset, *, track: _Track = iter) -> dict[str, Any]:
    """Counts, bytes and quality of a dataset as plain JSON; decodes key points, masks and depth.

    `counts`      shards, clips, frames, videos, quarantined, tar bytes; again in `splits`.
    `modalities`  clips with it, bytes, fraction of all data, bytes per frame.
    `quality`     over clips, {clips, mean, p5, p95, max}; a measure no clip has is left out:
                  person_coverage (fraction of frames with a person), keypoint_score (mean
                  score), and what the table of modalities measures.
    `worst`       the clip with the highest value of each of the latter.
    `quarantined` reasons and how often.
    `damaged`     one line for each sample that cannot be read, naming shard and key; `quality` is
                  that of the others.
    `track`       wraps the iteration over samples, to show progress.
    Raises StorageError when a shard cannot be read.
    """
    entries = list(dataset.entries.values())
    found: dict[str, list[tuple[float, str]]] = {}
    damaged = []
    for entry in track(entries):
        try:
            measured = _clip_measures(entry)
        except (BadSample, BadTar) as error:
            where = f"{entry.shard.url}: sample {entry.key}"
            damaged.append(f"{where}: {str(error).removeprefix(f'{where}: ')}")
            continue
        for name, value in measured.items():
            if value is not None and np.isfinite(value):
                found.setdefault(name, []).append((value, entry.key))
    rough = [measure.name for measure in measures()]
    return {
        "counts": count_totals([shard.manifest for shard in dataset.shards]),
        "modalities": _modalities(entries),
        "quality": {name: _spread([v for v, _ in values]) for name, values in found.items()},
        "worst": {name: max(found[name])[1] for name in rough if name in found},
        "quarantined": dict(
            Counter(q.reason for s in dataset.shards for q in s.manifest.quarantined).most_common()
        ),
        "damaged": damaged,
    }


def _clip_measures(entry: Entry) -> dict[str, float | None]:
    sample = entry.sample
    values: dict[str, float | None] = {
        "person_coverage": sample.person_coverage,
        "keypoint_score": sample.keypoint_score,
    }
    possible = [measure for measure in measures() if sample.sizes.keys() >= set(measure.needs)]
    if possible:
        needed = {name for measure in possible for name in measure.needs}
        arrays = decode_arrays(read_sample(entry), modalities=needed)
        for measure in possible:
            values[measure.name] = measure.compute(*(arrays[name] for name in measure.needs))
    return values


def _modalities(entries: list[Entry]) -> dict[str, dict[str, float]]:
    total = sum(sum(entry.sample.sizes.values()) for entry in entries)
    table = {}
    for name in sorted({name for entry in entries for name in entry.sample.sizes}):
        having = [entry.sample for entry in entries if name in entry.sample.sizes]
        size = sum(sample.sizes[name] for sample in having)
        frames = sum(sample.frames for sample in having)
        table[name] = {
            "clips": len(having),
            "bytes": size,
            "fraction": round(size / total, 6) if total else 0.0,
            "bytes_per_frame": round(size / frames, 1) if frames else 0.0,
        }
    return table


def _spread(values: list[float]) -> dict[str, float]:
    low, high = np.percentile(values, (5, 95))
    numbers = {"mean": np.mean(values), "p5": low, "p95": high, "max": np.max(values)}
    return {"clips": len(values), **{k: round(float(v), 6) for k, v in numbers.items()}}
