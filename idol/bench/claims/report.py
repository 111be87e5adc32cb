"""What the runs say of each claim, in words that promise no more: `claims.json` and `claims.md`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idol.bench.claims.activity import INACTIVE
from idol.bench.claims.rows import DETAILS, HEADLINE, SYSTEMS, Pair, rows_of
from idol.bench.claims.runs import (
    ClaimsError,
    Weights,
    activity_of,
    grid_name,
    run_grid,
    run_rows,
    scores_of,
)
from idol.bench.marked import written_between
from idol.config.claims import ClaimsConfig
from idol.evaluate.bootstrap import mean_interval
from idol.evaluate.compare import read_scores
from idol.evaluate.devices import device_of
from idol.evaluate.metrics import METRICS
from shards import open_dataset
from shards.files.atomic import write_atomically

__all__ = ["NAME", "compared", "made", "verdict"]

NAME = "idol-bench claims"
"""In the marks of a document."""

# What is judged, where it was measured; all else is printed.
PRIMARY = ("depth_rmse", "edge_f1", "akd")

Scores = Mapping[str, Sequence[Mapping[str, Any]]]  # of a row, one a seed


def made(
    config: ClaimsConfig,
    headline: tuple[Pair, ...] = HEADLINE,
    details: tuple[Pair, ...] = DETAILS + SYSTEMS,
) -> dict[str, Any]:
    """Run what is left of the experiment, and write what it says.

    Args:
        headline: the pairs that are run with all seeds; `details`: those with few, if at all.

    Raises:
        ClaimsError: a command failed, or no clips are held out; the document to write into cannot
            be read, or has not the marks, once each.
        ConfigError: the device cannot be used.
        ShardsError: there is no dataset.
        EvaluationError: scores of a row cannot be compared.
    """
    device_of(config.device)  # without a GPU the commands would train on the CPU
    _check_document(config.write)
    if not open_dataset(str(config.shards)).has_split("val"):
        raise ClaimsError(
            f"{config.shards} has no split val to score: build it with `idol-prep build "
            "--val-fraction 0.05`"
        )
    headline, details = _asked(config, headline), _asked(config, details)
    weights = _chosen_weights(config)
    run_rows(config, rows_of(headline), config.seeds, weights)
    pairs: list[tuple[Pair, Sequence[int]]] = [(pair, config.seeds) for pair in headline]
    if config.rows == "all":
        few = config.seeds[: config.few_seeds]
        run_rows(config, rows_of(details), few, weights)
        pairs += [(pair, few) for pair in details]
    said = {
        "schema": 1,
        "commit": _commit(),
        "settings": json.loads(json.dumps(dataclasses.asdict(config), default=str)),
        "weights": weights,
        "pairs": [_pair(config, pair, seeds) for pair, seeds in pairs],
    }
    write_atomically(config.out / "claims.json", (json.dumps(said, indent=2) + "\n").encode())
    page = _page(said)
    write_atomically(config.out / "claims.md", f"# The paper's claims\n{page}".encode())
    if config.write:
        document = written_between(config.write.read_text(), NAME, page)
        write_atomically(config.write, document.encode())
    return said


def _check_document(path: Path | None) -> None:
    """Before hours of training, whose result is to be written there."""
    if path is not None:
        try:
            written_between(path.read_text(), NAME, "")
        except (OSError, ValueError) as error:
            raise ClaimsError(f"--write {path}: {error}") from error


def _asked(config: ClaimsConfig, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    tables = {f"Tab. {number}" for number in config.tables}
    return tuple(pair for pair in pairs if not tables or pair.table in tables)


def _chosen_weights(config: ClaimsConfig) -> Weights:
    """Those with the least depth RMSE on the grid's seeds, which are not reported."""
    if not config.grid:
        return None
    run_grid(config)
    found: dict[float, float] = {}
    for weight in config.grid:
        scores = [
            read_scores(scores_of(config.out, grid_name(weight), seed))
            for seed in config.grid_seeds
        ]
        errors = [one["metrics"]["depth_rmse"]["value"] for one in scores]
        found[weight] = float(np.mean(errors))
    best = min(found, key=found.__getitem__)
    return best, best


def compared(
    first: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, Any] | None:
    """The other's minus the first's values, paired by seed and video; None where not measured.

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
    return {
        "over_videos": mean_interval(difference_SV.mean(axis=0)).as_json(),
        "over_seeds": mean_interval(difference_SV.mean(axis=1)).as_json(),
    }


def verdict(found: Mapping[str, Any], better: str, *, judged: bool) -> str:
    """`shown`, `shown to be worse`, or `not shown`; `not judged` where no sign is claimed.

    Shown is what both intervals say: with other videos and with other seeds it would come out with
    the same sign.
    """
    if not judged:
        return "not judged"
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
            "verdict": verdict(found, METRICS[name].better, judged=judged),
        }
    files = [activity_of(config.out, pair.other, seed) for seed in seeds]
    share = float(np.mean([json.loads(f.read_bytes())["consistency_gradient"] for f in files]))
    active = pair.table != "Tab. 5" or share >= INACTIVE
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
        "consistency_gradient": share,
        "inactive": not active,
    }


def _page(said: Mapping[str, Any]) -> str:
    settings = said["settings"]
    lines = [
        "Written by `idol-bench claims`; claims.json has all numbers. Preset `tiny`, "
        f"{settings['image_steps']} and {settings['video_steps']} steps of stages image and video "
        f"a row, {len(settings['seeds'])} seeds, {settings['clips']} held-out clips at "
        f"{settings['sampling_steps']} sampling steps, on "
        f"{'a GPU' if settings['device'] == 'cuda' else 'CPUs'}; commit `{said['commit']}`.",
        "",
        "A difference is the second row's value minus the first's, paired by seed and video, with "
        "intervals of 95 % over videos and over seeds. *Shown* is what both exclude 0 for; "
        "everything else is *not shown*, which does not say that it is false.",
        "",
        "| table | row → row | measure | paper | ours | over videos | over seeds | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pair in said["pairs"]:
        for name, found in pair["measures"].items():
            if name not in PRIMARY:
                continue
            values = found["over_videos"]["value"]
            word = f"inactive: {found['verdict']}" if pair["inactive"] else found["verdict"]
            lines.append(
                f"| {pair['table']} | {pair['first']} → {pair['other']} | {METRICS[name].title} "
                f"| {_papers(pair, name)} | {values:+.4f} | {_shown(found['over_videos'])} "
                f"| {_shown(found['over_seeds'])} | {word} |"
            )
    lines += [
        "",
        "Frechet distances of so few clips, printed and not judged, means over seeds:",
        "",
    ]
    lines += ["| row | " + " | ".join(_FRECHET) + " |", "|---" * (len(_FRECHET) + 1) + "|"]
    rows = {row: v for pair in said["pairs"] for row, v in pair["values"].items()}
    for row, values in rows.items():
        cells = [f"{np.mean(values[n]):.2f}" if n in values else "not computed" for n in _FRECHET]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    weights = said["weights"]
    lines += [
        "",
        "Weights of the consistency losses: "
        + (
            "the paper's, 0.01."
            if weights is None
            else f"{weights[0]:g}, found by the grid on seeds {settings['grid_seeds']}."
        ),
        "",
        "*Inactive*: the losses' weighted gradient is under 1 % of the denoising loss's, so that "
        "the row cannot differ by what it is meant to.",
    ]
    return "\n".join(lines) + "\n"


_FRECHET = ("fid_fvd", "fvd", "fid")


def _papers(pair: Mapping[str, Any], name: str) -> str:
    if name != "depth_rmse" or pair["depth"] is None:
        return "no number"
    first, other = pair["depth"]
    return f"{other - first:+.4f}"


def _shown(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return "of one alone"
    return f"{interval['low']:+.4f} to {interval['high']:+.4f}"


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"
