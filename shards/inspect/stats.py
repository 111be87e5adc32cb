"""`idol-shards stats`: what a dataset holds, and how good its annotations are."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.errors import BadSample, BadTar
from shards.manifest import Sample, count_totals
from shards.reader import Dataset, Entry, read_sample
from shards.sample.codec import decode_arrays, decode_info
from shards.sample.modalities import JSON, MODALITIES, Measure, measures

__all__ = ["MANIFEST_SCORES", "Score", "clip_measures", "computed", "dataset_stats", "scores"]


@dataclass(frozen=True)
class Score:
    """How a measure of a clip is shown: in tables times `factor`, in `unit`."""

    title: str
    factor: float = 1.0
    unit: str = ""
    worst: str = "highest"
    counted: bool = False


# Said in manifests already.
MANIFEST_SCORES = {
    "person_coverage": Score("person coverage", worst="lowest"),
    "keypoint_score": Score("keypoint score", worst="lowest"),
}


def scores() -> dict[str, Score]:
    """Of every measure by its name: those of the manifests, then those of the modalities."""
    of_modalities = {
        m.name: Score(m.title, m.factor, m.unit, m.worst, m.counted) for m in measures()
    }
    return MANIFEST_SCORES | of_modalities


_Track = Callable[[list[Entry]], Iterable[Entry]]


def dataset_stats(dataset: Dataset, *, track: _Track = iter) -> dict[str, Any]:
    """Counts, bytes and quality of a dataset as plain JSON; decodes key points, masks and depth.

    `counts`      shards, clips, frames, videos, quarantined, tar bytes; again in `splits`.
    `modalities`  clips with it, bytes, fraction of all data, bytes per frame.
    `quality`     over clips, {clips, mean, min, p5, p95, max}; a measure no clip has is left out:
                  person_coverage (fraction of frames with a person), keypoint_score (mean
                  score), and what the table of modalities measures.
    `counted`     what it counts, over the clips that say it, {clips, total, affected}: affected are
                  the clips with one or more.
    `worst`       of each of these the clip with the worst value, unless all are equal.
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
            measured = clip_measures(entry)
        except (BadSample, BadTar) as error:
            where = f"{entry.shard.url}: sample {entry.key}"
            damaged.append(f"{where}: {str(error).removeprefix(f'{where}: ')}")
            continue
        for name, value in measured.items():
            if value is not None and np.isfinite(value):
                found.setdefault(name, []).append((value, entry.key))
    lowest = {name for name, score in scores().items() if score.worst == "lowest"}
    counted = {name for name, score in scores().items() if score.counted}
    return {
        "counts": count_totals([shard.manifest for shard in dataset.shards]),
        "modalities": _modalities(entries),
        "quality": {n: _spread(values) for n, values in found.items() if n not in counted},
        "counted": {n: _counts(values) for n, values in found.items() if n in counted},
        "worst": {
            name: (min if name in lowest else max)(values)[1]
            for name, values in found.items()
            if min(values)[0] < max(values)[0]
        },
        "quarantined": dict(
            Counter(q.reason for s in dataset.shards for q in s.manifest.quarantined).most_common()
        ),
        "damaged": damaged,
    }


def clip_measures(entry: Entry) -> dict[str, float | None]:
    """All measures of a clip, of which it reads what they need.

    Raises BadSample, BadTar or StorageError.
    """
    needed = {name for m in _measures_of(entry.sample) for name in m.needs} - {JSON}
    members = read_sample(entry) if _measures_of(entry.sample) else []
    info = decode_info(members) if members else {}
    arrays = decode_arrays(members, modalities=needed) if members else {}
    return computed(entry.sample, info, arrays)


def computed(
    sample: Sample, info: Mapping[str, Any], arrays: Mapping[str, Any]
) -> dict[str, float | None]:
    """The measures of a clip that these arrays, by modality, and its json suffice for."""
    values: dict[str, float | None] = {name: getattr(sample, name) for name in MANIFEST_SCORES}
    have: dict[str, Any] = {**arrays, JSON: info}
    for measure in _measures_of(sample):
        if have.keys() >= {*measure.needs}:
            values[measure.name] = measure.compute(*(have[name] for name in measure.needs))
    return values


def _measures_of(sample: Sample) -> list[Measure]:
    return [
        measure
        for name, row in MODALITIES.items()
        for measure in row.measures
        if sample.sizes.keys() >= {name, *measure.needs}
    ]


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


def _spread(values: list[tuple[float, str]]) -> dict[str, float]:
    numbers = [value for value, _ in values]
    low, high = np.percentile(numbers, (5, 95))
    spread = {"mean": np.mean(numbers), "min": min(numbers), "p5": low, "p95": high}
    spread["max"] = max(numbers)
    return {"clips": len(values), **{k: round(float(v), 6) for k, v in spread.items()}}


def _counts(values: list[tuple[float, str]]) -> dict[str, int]:
    return {
        "clips": len(values),
        "total": round(sum(value for value, _ in values)),
        "affected": sum(value > 0 for value, _ in values),
    }
