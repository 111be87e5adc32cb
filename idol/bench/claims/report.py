"""What the runs say of each claim, in words that promise no more: `claims.json` and `claims.md`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idol.bench.claims.errors import ClaimsError
from idol.bench.claims.gradients import INACTIVE
from idol.bench.claims.page import PRIMARY, PRINTED, Tables, page_of
from idol.bench.claims.rows import (
    DETAILS,
    GUIDANCE,
    HEADLINE,
    SYSTEMS,
    Pair,
    rows_of,
    variant_of,
)
from idol.bench.claims.runs import (
    Weights,
    check_grid,
    check_rows,
    check_start,
    gradients_of,
    grid_name,
    run_grid,
    run_rows,
    scores_of,
)
from idol.bench.marked import written_between
from idol.config.checks import ConfigError
from idol.config.claims import ClaimsConfig
from idol.config.evaluate import EvaluateRunConfig, ScoreConfig
from idol.config.file import read_settings
from idol.evaluate.bootstrap import mean_interval
from idol.evaluate.compare import read_scores
from idol.evaluate.devices import device_of
from idol.evaluate.metrics import METRICS
from idol.evaluate.score import check as check_scoring
from idol.variants import variant_called
from shards import open_dataset
from shards.files.atomic import write_atomically

__all__ = ["NAME", "asked", "compared", "made", "verdict"]

NAME = "idol-bench claims"
"""In the marks of a document."""

_SCHEMA = 3
_PLACES = ("shards", "dwpose_shards", "held_out", "out", "write", "jobs")


def made(
    config: ClaimsConfig,
    headline: tuple[Pair, ...] = HEADLINE,
    details: tuple[Pair, ...] = DETAILS + SYSTEMS,
) -> Tables:
    """Run what is left of the experiment, and write what it says.

    Tables that were run before, elsewhere maybe, are kept where they are not run now.

    Args:
        headline: the pairs that are run with all seeds; `details`: those with few, if at all.

    Raises:
        ClaimsError: a command failed, or no clips are held out; the document to write into cannot
            be read, or has not the marks, once each; a claims.json there is none.
        ConfigError: the device cannot be used; a file of settings is wrong; an unknown metric.
        ShardsError: there is no dataset.
        NotAModelError: there is no model at `start`.
        EvaluationError: scores of a row cannot be compared; an unknown annotator.
    """
    device_of(config.device)  # without a GPU the commands would train on the CPU
    _check_document(config.write)
    held_out = config.held_out or config.shards
    for truth in filter(None, (held_out, config.dwpose_shards)):
        if not open_dataset(str(truth)).has_split("train" if config.held_out else "val"):
            raise ClaimsError(
                f"{truth} has no split {'train' if config.held_out else 'val'} to score: build it "
                f"with `idol-prep build --val-fraction {0 if config.held_out else 0.05}`"
            )
    headline, details = asked(config, headline), asked(config, details)
    for option, file in (("train", config.train), ("train-codec", config.train_codec)):
        try:
            if file is not None:
                read_settings(file)
        except ConfigError as error:
            raise ConfigError(f"--{option}, as idol-train's {error}") from error
    check_scoring(
        ScoreConfig(
            generated=str(config.out),
            reference=str(held_out),
            protocol=EvaluateRunConfig.protocol,
            out=config.out,
            pose=config.pose,
            metrics=config.metrics,
            device=config.device,
        )
    )
    if config.start is not None:
        check_start(config.start, rows_of(headline + (details if config.rows == "all" else ())))
    few = config.seeds[: config.few_seeds]
    runs = [(config.seeds, headline), (few, details if config.rows == "all" else ())]
    for file in _files(config):
        _read(file)  # or it would be told after the training
    if config.grid:
        check_grid(config)
    tried = _tried(config)
    weights = _chosen_weights(tried)
    for seeds, pairs in runs:
        check_rows(config, rows_of(pairs), seeds, weights)
    for seeds, pairs in runs:
        run_rows(config, rows_of(pairs), seeds, weights)
    of_all = {"commit": _commit(), "settings": _settings(config), "weights": weights, "grid": tried}
    found: Tables = {}
    for seeds, pairs in runs:
        for pair in pairs:
            by = {"guidance": GUIDANCE, "reference": _reference(config, pair, seeds)}
            table = found.setdefault(pair.table, {**of_all, **by, "pairs": []})
            table["pairs"].append(_pair(config, pair, seeds))
    return _written(config, found)


def _written(config: ClaimsConfig, found: Tables) -> Tables:
    """What was found, beside the runs and in the document, with what these have of other tables."""
    said: Tables = {}
    for file, document in _files(config).items():
        said = dict(sorted({**_read(file), **found}.items()))
        told: dict[str, Any] = {"schema": _SCHEMA, "tables": said}
        page = page_of(said)
        if document == config.write:
            text = written_between(document.read_text(), NAME, page)
        else:
            text = f"# The paper's claims\n{page}"
            told["scored"] = str(config.held_out or config.shards)  # for figures
            told["scored_split"] = "train" if config.held_out else "val"
        write_atomically(file, (json.dumps(told, indent=2) + "\n").encode())
        write_atomically(document, text.encode())
    return said


def _files(config: ClaimsConfig) -> dict[Path, Path]:
    """Where numbers go, beside the runs and beside the document that is written into; and the page
    of each."""
    beside_page = {config.write.with_suffix(".json"): config.write} if config.write else {}
    return {config.out / "claims.json": config.out / "claims.md", **beside_page}


def _read(file: Path) -> Tables:
    """The tables of earlier runs. Raises ClaimsError: the file is not ours."""
    if not file.exists():
        return {}
    try:
        said = json.loads(file.read_bytes())
        if said["schema"] != _SCHEMA:
            raise ValueError(f"schema {said['schema']}, not {_SCHEMA}")
        return dict(said["tables"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClaimsError(
            f"{file}, whose other tables would be kept, cannot be read ({error}): move it away"
        ) from error


def _settings(config: ClaimsConfig) -> dict[str, Any]:
    """What a result depends on: not where it lay, nor how many runs went side by side."""
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return {k: v for k, v in settings.items() if k not in _PLACES}


def _check_document(path: Path | None) -> None:
    """Before hours of training, whose result is to be written there."""
    if path is not None:
        try:
            written_between(path.read_text(), NAME, "")
        except (OSError, ValueError) as error:
            raise ClaimsError(f"--write {path}: {error}") from error


def asked(config: ClaimsConfig, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Those of the tables that are asked for: Tab. 3 as well where its data are."""
    given = config.tables or (1, 4, 5, 6, 8, *((3,) if config.dwpose_shards else ()))
    tables = {f"Tab. {number}" for number in given}
    return tuple(pair for pair in pairs if pair.table in tables)


def _tried(config: ClaimsConfig) -> list[dict[str, float]]:
    """What each weight of the grid gave, the mean over its seeds, which are not reported."""
    if config.grid:
        run_grid(config)
    found = []
    for weight in config.grid:
        name = grid_name(weight)
        runs = [read_scores(scores_of(config.out, name, s))["metrics"] for s in config.grid_seeds]
        shares = [_share(config, name, seed, "both") for seed in config.grid_seeds]
        means = {
            metric: float(np.mean([run[metric]["value"] for run in runs]))
            for metric in (*PRIMARY, *PRINTED)
            if all(metric in run for run in runs)
        }
        found.append({"weight": weight, "consistency_gradient": float(np.mean(shares)), **means})
    return found


def _chosen_weights(tried: Sequence[Mapping[str, float]]) -> Weights:
    """Those with the least depth RMSE."""
    if not tried:
        return None
    best = min(tried, key=lambda one: one["depth_rmse"])["weight"]
    return best, best


def compared(
    first: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, Any] | None:
    """The other's minus the first's values, paired by seed and video; None where not measured, or
    where all denominators are 0.

    Values that are ratios count by their denominators, as in `idol-eval`.

    Args:
        first, other: results of `idol-eval` by seed, in the same order.

    Returns:
        `over_videos`: of each video's mean over seeds; `over_seeds`: of each seed's mean over
        videos; intervals as `mean_interval` has them. A claim needs both.
    """
    videos = [
        video
        for video, values in first[0]["videos"].items()
        if all(metric in r["videos"].get(video, {}) for r in (*first, *other))
    ]
    if not videos:
        return None
    difference_SV = np.array(
        [
            [b["videos"][v][metric] - a["videos"][v][metric] for v in videos]
            for a, b in zip(first, other, strict=True)
        ]
    )
    weighed = METRICS[metric].weighed
    weights_V = [first[0]["videos"][v].get(weighed, 1.0) for v in videos]
    if not any(weights_V):
        return None
    of_seeds_S = np.average(difference_SV, axis=1, weights=weights_V)
    return {
        "over_videos": mean_interval(difference_SV.mean(axis=0), weights=weights_V).as_json(),
        "over_seeds": mean_interval(of_seeds_S).as_json(),
    }


def verdict(found: Mapping[str, Any], better: str, *, judged: bool, of_videos: int) -> str:
    """`shown`, `shown to be worse`, or `not shown`; `not judged` where no sign is claimed.

    Shown is what both intervals say: with other videos and with other seeds it would come out with
    the same sign. `too few videos` is what fewer than half of them have in all runs, such as the
    pose error where joints were found in each: which these are depends on what was made.
    """
    if not judged:
        return "not judged"
    if found["over_videos"]["videos"] < of_videos / 2:
        return "too few videos"
    intervals = [found["over_videos"], found["over_seeds"]]
    if any(i["low"] is None for i in intervals):
        return "not shown"
    above, below = all(i["low"] > 0 for i in intervals), all(i["high"] < 0 for i in intervals)
    if not (above or below):
        return "not shown"
    return "shown" if above == (better == "higher") else "shown to be worse"


def _pair(config: ClaimsConfig, pair: Pair, seeds: Sequence[int]) -> dict[str, Any]:
    first, other = (
        [read_scores(scores_of(config.out, row, seed)) for seed in seeds]
        for row in (pair.first, pair.other)
    )
    measures = {}
    for name in METRICS:
        if METRICS[name].sums is None or (found := compared(first, other, name)) is None:
            continue
        judged = pair.judged and name in PRIMARY
        measures[name] = {
            **found,
            "better": METRICS[name].better,
            "verdict": verdict(
                found, METRICS[name].better, judged=judged, of_videos=len(first[0]["videos"])
            ),
        }
    shares = {
        name: float(np.mean([_share(config, pair.other, seed, name) for seed in seeds]))
        for name in ("motion", "cross_attention", "both")
    }
    inactive = any(shares[loss] < INACTIVE for loss in _added(pair))
    return {
        **dataclasses.asdict(pair),
        "seeds": list(seeds),
        "values": {
            row: {
                name: [r["metrics"][name]["value"] for r in results]
                for name in results[0]["metrics"]
                if all(name in r["metrics"] for r in results)
            }
            for row, results in ((pair.first, first), (pair.other, other))
        },
        "measures": measures,
        "gradient_shares": shares,
        "inactive": inactive,
    }


def _reference(config: ClaimsConfig, pair: Pair, seeds: Sequence[int]) -> dict[str, Any]:
    """A checksum of the true clips that a pair's rows were scored on, how many they are, and by
    which protocol.

    Raises ClaimsError: they are not the same.
    """
    rows = (pair.first, pair.other)
    by_row = {
        (row, seed): read_scores(scores_of(config.out, row, seed)) for row in rows for seed in seeds
    }
    sums = {scores["reference"]["sha256"] for scores in by_row.values()}
    if len(sums) > 1:
        raise ClaimsError(
            f"{pair.first} and {pair.other} were scored on different true clips: --dwpose-shards "
            "must be the people of --shards, of the same size and length"
        )
    one = by_row[pair.first, seeds[0]]
    clips, protocol = one["counts"]["clips"], one["protocol"]["name"]
    return {"sha256": sums.pop(), "clips": clips, "protocol": protocol}


def _added(pair: Pair) -> list[str]:
    """The consistency losses that the second row has and the first has not, where that is all."""
    first, other = (variant_called(variant_of(row)) for row in (pair.first, pair.other))
    if pair.table != "Tab. 5":
        return []
    return [
        loss
        for loss in ("motion", "cross_attention")
        if f"{loss}_weight" in first.loss and f"{loss}_weight" not in other.loss
    ]


def _share(config: ClaimsConfig, row: str, seed: int, of: str) -> float:
    return float(json.loads(gradients_of(config.out, row, seed).read_bytes())[of])


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"
