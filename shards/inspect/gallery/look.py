"""All that a page tells of one clip, and its pictures: what the table of modalities can draw."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.errors import BadSample, BadTar
from shards.inspect.gallery.strip import Kind, Strip, spread, strip
from shards.inspect.sheet import notes, rows_of_tiles, still_tiles
from shards.inspect.stats import computed, scores
from shards.reader import Dataset, Entry, read_sample
from shards.sample.clip import Clip
from shards.sample.codec import Members, decode_arrays, decode_info
from shards.sample.modalities import MODALITIES, parse_suffix, split_name

__all__ = ["Look", "look", "thumbnail"]

_DIGITS = 6


@dataclass(frozen=True)
class Look:
    """`told`, plain JSON, and a strip for each panel that it names.

    told: `key`, `shard`, `facts` (pairs of label and text), `frames` (labels of those shown),
    `fps` of those, `panels` (name, title, still, notes, shape of the strip), `traces` (title, unit,
    a low and a high value a frame or null), `scores` (title and text), `made_by` (who made what,
    of which weights), `json` (the clip's, as text), `members` (name and bytes), `faults` (a line
    each: what could not be read).
    """

    told: dict[str, Any]
    strips: dict[str, Strip]


def look(dataset: Dataset, entry: Entry, *, side: int, frames: int, kind: Kind) -> Look:
    """Read a clip and draw it: up to `frames` of its frames, evenly, `side` pixels at most.

    What is damaged is told in `faults`, and the rest is shown. Raises StorageError.
    """
    told: dict[str, Any] = {
        "key": entry.key,
        "shard": entry.shard.name,
        "facts": [],
        "frames": [],
        "fps": None,
        "panels": [],
        "traces": [],
        "scores": [],
        "made_by": [],
        "json": "",
        "members": [],
        "faults": [],
    }
    try:
        members = read_sample(entry)
    except BadTar as error:
        return Look({**told, "faults": [str(error)]}, {})
    told["members"] = [[name, len(data)] for name, data in members]
    try:
        info = decode_info(members)
    except BadSample as error:
        told["facts"] = [*_facts(entry, {})]
        return Look({**told, "faults": [str(error)]}, {})
    count = len(info["frame_indices"])
    picked = spread(count, frames)
    arrays, faults = _arrays(members, picked)
    told |= {
        "facts": [*_facts(entry, info), *_shown(count, picked)],
        "frames": [_label(info, t) for t in picked],
        "fps": _fps(info, count, len(picked)),
        "traces": list(_traces(info, arrays)),
        "made_by": list(_made_by(info, dataset)),
        "json": json.dumps(info, indent=2, ensure_ascii=False),
        "faults": faults,
    }
    # Measures are of whole clips: those of some frames would be others.
    told["scores"] = list(_scores(entry, info, arrays if len(picked) == count else {}))
    strips: dict[str, Strip] = {}
    if "rgb" in arrays:
        clip = Clip.of(entry.key, arrays, info)
        tiles = rows_of_tiles(clip) | {n: tile[None] for n, tile in still_tiles(clip).items()}
        strips = {name: strip(drawn, side, kind) for name, drawn in tiles.items()}
        told["panels"] = [_panel(info, name, one) for name, one in strips.items()]
    return Look(told, strips)


def thumbnail(entry: Entry, *, side: int, frames: int, kind: Kind) -> Strip:
    """A clip's frames alone, as a strip. Raises BadSample, BadTar or StorageError."""
    members = read_sample(entry)
    picked = spread(len(decode_info(members)["frame_indices"]), frames)
    return strip(decode_arrays(members, modalities=["rgb"], frames=picked)["rgb"], side, kind)


def _arrays(members: Members, picked: list[int]) -> tuple[dict[str, np.ndarray], list[str]]:
    """What can be read, by modality, the frames first; and what is wrong with the others."""
    parsed = [parse_suffix(split_name(name)[1]) for name, _ in members]
    there = {modality[0] for modality in parsed if modality is not None}
    arrays: dict[str, np.ndarray] = {}
    faults = []
    for name, row in MODALITIES.items():
        if name not in there:
            continue
        try:
            array = decode_arrays(members, modalities=[name], frames=picked)[name]
            height, width = arrays.get("rgb", array).shape[1:3]
            row.check(array, len(picked), height, width)
            arrays[name] = array
        except (BadSample, ValueError) as error:
            faults.append(str(error))
    if "rgb" not in there:
        faults.append("has no rgb frames: nothing of it is drawn")
    return arrays, faults


def _facts(entry: Entry, info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sample = entry.sample
    yield "video", _text(info.get("video") or sample.video)
    yield "split", _text(entry.shard.manifest.split)
    yield "shard", f"{entry.shard.name}, bytes {sample.offset:,} to {_end(entry):,}"
    indices = info.get("frame_indices") or []
    if indices:
        yield "frames", f"{len(indices)}: {indices[0]} to {indices[-1]} of the video"
    yield "frames a second", _text(info.get("fps"))
    yield "size", " x ".join(map(str, filter(None, (sample.width, sample.height))))
    for name in ("source_size", "crop", "shot", "subject", "reference", "picture"):
        yield name.replace("_", " "), _text(info.get(name))


def _shown(count: int, picked: list[int]) -> Iterator[tuple[str, str]]:
    if len(picked) < count:
        yield "shown here", f"{len(picked)} of {count} frames, evenly"


def _end(entry: Entry) -> int:
    return entry.sample.offset + entry.sample.length


def _text(value: Any, depth: int = 3) -> str:
    """A value of a json as a line of text; empty for nothing, short for what is deep, and of a
    table its size alone."""
    if isinstance(value, dict | list) and not depth:
        return "…"
    if isinstance(value, dict):
        said = {name: _text(v, depth - 1) for name, v in value.items()}
        return ", ".join(f"{name} {text}" for name, text in said.items() if text)
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        return f"{len(value)} x {max(map(len, value))} values"
    if isinstance(value, list):
        return " ".join(_text(v, depth - 1) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _label(info: Mapping[str, Any], t: int) -> str:
    times = info.get("timestamps")
    seconds = times[t] if isinstance(times, list) and t < len(times) else None
    at = f", {seconds:.2f} s" if isinstance(seconds, int | float) else ""
    return f"frame {info['frame_indices'][t]}{at}"


def _fps(info: Mapping[str, Any], count: int, shown: int) -> float:
    fps = info.get("fps")
    indices = info["frame_indices"]
    step = (indices[-1] - indices[0]) / (count - 1) if count > 1 else 1
    real = float(fps) if isinstance(fps, int | float) else 10.0
    if not 0 < real < float("inf"):
        real = 10.0
    return round(real / max(step, 1) * (shown / count), 3)


def _panel(info: dict[str, Any], name: str, drawn: Strip) -> dict[str, Any]:
    row = MODALITIES[name]
    return {
        "name": name,
        "title": row.title or name,
        "still": row.files == "still",
        "notes": [line for line in notes(info, name) if line],
        **drawn.shape(),
    }


def _traces(
    info: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Iterator[dict[str, object]]:
    for name, array in arrays.items():
        for trace in MODALITIES[name].traces:
            values = trace.compute(info, array).reshape(len(array), -1)
            low, high = values.min(1), values.max(1)
            if np.isfinite(low).any():
                yield {
                    "title": trace.title,
                    "unit": trace.unit(info),
                    "low": _numbers(low),
                    "high": _numbers(high) if values.shape[1] > 1 else None,
                }


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [round(float(v), _DIGITS) if np.isfinite(v) else None for v in values]


def _scores(
    entry: Entry, info: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str]]:
    # What is missing or damaged has been told already.
    values = computed(entry.sample, info, arrays)
    for name, score in scores().items():
        value = values.get(name, getattr(entry.sample, name, None))
        if value is not None and np.isfinite(value):
            yield score.title, f"{value * score.factor:.4g} {score.unit}".strip()


def _made_by(info: Mapping[str, Any], dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Who made each modality, of which files, and under which licence those are."""
    annotators = info.get("annotators")
    known = dataset.info.weights if dataset.info else {}
    for name, said in annotators.items() if isinstance(annotators, dict) else ():
        if not isinstance(said, dict):
            continue
        weights = said.get("weights")
        yield {
            "what": MODALITIES[name].title or name if name in MODALITIES else str(name),
            "name": _text(said.get("name")),
            "version": _text(said.get("version")),
            "weights": [
                [file, _text(digest), _licence(known.get(file))]
                for file, digest in (weights.items() if isinstance(weights, dict) else ())
            ],
        }


def _licence(described: Any) -> str:
    return _text(described.get("licence")) if isinstance(described, dict) else ""
