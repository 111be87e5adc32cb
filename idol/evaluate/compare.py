"""`idol-eval compare`: results of one protocol side by side, and their paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idol.evaluate.errors import EvaluationError
from idol.evaluate.metrics import METRICS, Metric
from idol.evaluate.report import SCORES
from shards.files.digest import parse_json, sha256_file

if TYPE_CHECKING:
    from idol.evaluate.features import VideoRows

__all__ = ["compare", "read_result", "read_scores"]

# What `--stride` and `--depth` change; `--depth` says of folders whether the person alone counts.
_OF_WINDOWS = ("seam", "seam_truth")
_ALIGNED = ("absrel", "rmse_aligned", "delta1")
# What a comparison reads of a result.
_DICTIONARIES = (
    *("protocol", "metrics", "not_computed", "counts", "networks", "annotators", "settings"),
    *("generated", "reference", "videos"),
)


def read_scores(path: Path) -> dict[str, Any]:
    """What a result's `scores.json` says; `path` is the file or its folder.

    Raises EvaluationError where there is none, or it is of another version.
    """
    file = path / SCORES if path.is_dir() else path
    try:
        said = parse_json(file.read_bytes())
    except FileNotFoundError as error:
        raise EvaluationError(
            f"{path}: has no {SCORES}; score it with `idol-eval score`"
        ) from error
    except ValueError as error:
        raise EvaluationError(f"{file}: is not JSON ({error})") from error
    if not isinstance(said, dict) or said.get("schema") != 1 or "protocol" not in said:
        raise EvaluationError(f"{file}: is no result of `idol-eval score` of this version")
    return said | {"folder": str(file.parent)}


def read_result(path: Path) -> dict[str, Any]:
    """The same, of a result that is compared. Raises EvaluationError, too, where parts are gone."""
    said = read_scores(path)
    lacking = [name for name in _DICTIONARIES if not isinstance(said.get(name), dict)]
    if lacking or not isinstance(said.get("name"), str):
        raise EvaluationError(
            f"{path}: {SCORES} is damaged, it has no {', '.join(lacking) or 'name'}: score it again"
        )
    return said


def compare(results: Sequence[Mapping[str, Any]], *, samples: int, seed: int) -> dict[str, Any]:
    """Each later result against the first: paired differences over the videos of both.

    A Frechet distance is of a set, not of a video: both results' are computed of the same resampled
    videos, and their differences make the interval.

    Raises EvaluationError for results of different protocols or references.
    """
    if not results:
        raise EvaluationError("give the folders of the results that are to be compared")
    results = _told_apart(results)
    first = results[0]
    _check_alike(results)
    return {
        "schema": 1,
        "protocol": first["protocol"],
        "reference": first["reference"]["sha256"],
        "against": first["name"],
        "results": [
            {"name": r["name"], "metrics": r["metrics"], "not_computed": r["not_computed"]}
            for r in results
        ],
        "differences": [
            {"name": other["name"]} | _differences(first, other, samples, seed)
            for other in results[1:]
        ],
    }


def _told_apart(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of one name called by their folders too."""
    names = [result["name"] for result in results]
    return [
        {**result, "name": f"{name} ({result['folder']})"} if names.count(name) > 1 else result
        for name, result in zip(names, results, strict=True)
    ]


def _check_alike(results: Sequence[Mapping[str, Any]]) -> None:
    first, *others = results
    for other in others:
        ours, theirs = first["protocol"], other["protocol"]
        if (ours["name"], ours["hash"]) != (theirs["name"], theirs["hash"]):
            raise EvaluationError(
                f"{first['name']} is of protocol {ours['name']} ({ours['hash'][:12]}), "
                f"{other['name']} of {theirs['name']} ({theirs['hash'][:12]}): numbers of "
                "different protocols do not go into one table; score both by one"
            )
        if first["reference"]["sha256"] != other["reference"]["sha256"]:
            raise EvaluationError(
                f"{first['name']} and {other['name']} were scored against other references "
                f"({first['reference']['path']}, {other['reference']['path']}): score both against "
                "one"
            )


def _differences(
    first: Mapping[str, Any], other: Mapping[str, Any], samples: int, seed: int
) -> dict[str, Any]:
    from idol.evaluate.bootstrap import mean_interval

    found: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for name, metric in METRICS.items():
        lacking = [r["name"] for r in (first, other) if name not in r["metrics"]]
        if lacking:
            absent[name] = f"not computed of {' and '.join(lacking)}"
            continue
        if why := _measured_otherwise(metric, first, other):
            absent[name] = why
            continue
        if metric.sums is not None:
            pairs = [
                (values[name], other["videos"][video][name], values.get(metric.weighed, 1.0))
                for video, values in first["videos"].items()
                if name in values and name in other["videos"].get(video, {})
            ]
            if not pairs:
                absent[name] = "no video has it in both"
                continue
            ours, theirs, weights = np.array(pairs).T
            found[name] = mean_interval(
                theirs - ours, weights=weights, samples=samples, seed=seed
            ).as_json()
            continue
        found[name] = _frechet_difference(name, first, other, samples, seed)
    return {"metrics": found, "not_compared": absent}


def _measured_otherwise(metric: Metric, first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Why values of two results are not of one measure; "" where they are."""

    def differs(*path: str) -> bool:
        ours, theirs = first, other
        for key in path:
            ours, theirs = ours.get(key) or {}, theirs.get(key) or {}
        return ours != theirs

    if metric.sums is None:
        return "its network had other weights" if differs("networks", metric.name, "sha256") else ""
    needs = {*metric.needs}
    if "annotator" in needs and differs("annotators", "pose"):
        return "another annotator looked for key points (--pose)"
    if "lpips" in needs and differs("annotators", "lpips"):
        return "its network had other weights"
    if metric.name in _OF_WINDOWS and differs("settings", "stride"):
        return "--stride was another"
    aligned = metric.name in _ALIGNED
    whole = {result["settings"].get("depth") == "frame" for result in (first, other)}
    # Of shards the checksums tell.
    if aligned and first["reference"].get("kind") == "folders" and len(whole) > 1:
        return "--depth was another"
    # Older results do not say it.
    sums = {result["reference"].get("annotations_sha256") for result in (first, other)} - {None}
    if (aligned or {"person", "pose"} & needs) and len(sums) > 1:
        return "the reference had other masks or key points"
    return ""


def _frechet_difference(
    name: str, first: Mapping[str, Any], other: Mapping[str, Any], samples: int, seed: int
) -> dict[str, Any]:
    from idol.evaluate.bootstrap import frechet_difference

    ours, theirs = (_features(result, name) for result in (first, other))
    return frechet_difference(ours, theirs, samples=samples, seed=seed).as_json()


def _features(result: Mapping[str, Any], name: str) -> tuple[VideoRows, VideoRows]:
    """The features of both sides by video, memory-mapped."""
    from idol.evaluate.features import VideoRows

    said = result["networks"][name]

    def of(side: str) -> VideoRows:
        counts = [*said["rows"][side].values()]
        file = Path(result["folder"]) / said["file"].replace("SIDE", side)
        shape = (sum(counts), said["features"])
        if not file.is_file() or file.stat().st_size != 4 * shape[0] * shape[1]:
            raise EvaluationError(f"{file}: is gone or cut short; score {result['name']} again")
        sums = said.get("file_sha256", {})  # which older results do not have
        if side in sums and sha256_file(file) != sums[side]:
            raise EvaluationError(
                f"{file}: is not of the {SCORES} beside it, as a score that was stopped leaves it; "
                f"score {result['name']} again"
            )
        return VideoRows.of(np.memmap(file, np.float32, "r", shape=shape), counts)

    return of("generated"), of("reference")
