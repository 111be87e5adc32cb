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
from idol.bench.claims.finished import ClaimsError
from idol.bench.claims.rows import DETAILS, HEADLINE, SYSTEMS, Pair, rows_of
from idol.bench.claims.runs import (
    Weights,
    activity_of,
    check_start,
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

__all__ = ["NAME", "compared", "made", "page_of", "verdict"]

NAME = "idol-bench claims"
"""In the marks of a document."""

_SCHEMA = 2
_PLACES = ("shards", "held_out", "out", "write", "jobs")

# What is judged, where it was measured; all else is printed.
PRIMARY = ("depth_rmse", "edge_f1", "akd")

Tables = dict[str, dict[str, Any]]  # what was found, by the paper's name of the table


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
        ConfigError: the device cannot be used.
        ShardsError: there is no dataset.
        EvaluationError: scores of a row cannot be compared.
    """
    device_of(config.device)  # without a GPU the commands would train on the CPU
    _check_document(config.write)
    held_out = config.held_out or config.shards
    if not open_dataset(str(held_out)).has_split("train" if config.held_out else "val"):
        raise ClaimsError(
            f"{held_out} has no split {'train' if config.held_out else 'val'} to score: build it "
            f"with `idol-prep build --val-fraction {0 if config.held_out else 0.05}`"
        )
    headline, details = _asked(config, headline), _asked(config, details)
    if config.start is not None:
        check_start(config.start, rows_of(headline + (details if config.rows == "all" else ())))
    for file in _files(config):
        _read(file)  # or it would be told after the training
    tried = _tried(config)
    weights = _chosen_weights(tried)
    run_rows(config, rows_of(headline), config.seeds, weights)
    pairs: list[tuple[Pair, Sequence[int]]] = [(pair, config.seeds) for pair in headline]
    if config.rows == "all":
        few = config.seeds[: config.few_seeds]
        run_rows(config, rows_of(details), few, weights)
        pairs += [(pair, few) for pair in details]
    of_all = {"commit": _commit(), "settings": _settings(config), "weights": weights, "grid": tried}
    found: Tables = {pair.table: {**of_all, "pairs": []} for pair, _ in pairs}
    for pair, seeds in pairs:
        found[pair.table]["pairs"].append(_pair(config, pair, seeds))
    return _written(config, found)


def _written(config: ClaimsConfig, found: Tables) -> Tables:
    """What was found, beside the runs and in the document, with what these have of other tables."""
    said: Tables = {}
    for file in _files(config):
        said = dict(sorted({**_read(file), **found}.items()))
        told: dict[str, Any] = {"schema": _SCHEMA, "tables": said}
        page, document = page_of(said), file.with_suffix(".md")
        if document == config.write:
            text = written_between(document.read_text(), NAME, page)
        else:
            text = f"# The paper's claims\n{page}"
            told["scored"] = str(config.held_out or config.shards)  # for figures
        write_atomically(file, (json.dumps(told, indent=2) + "\n").encode())
        write_atomically(document, text.encode())
    return said


def _files(config: ClaimsConfig) -> list[Path]:
    """Where numbers go: beside the runs, and beside the document that is written into."""
    beside_page = [config.write.with_suffix(".json")] if config.write else []
    return [config.out / "claims.json", *beside_page]


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


def _asked(config: ClaimsConfig, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    tables = {f"Tab. {number}" for number in config.tables}
    return tuple(pair for pair in pairs if not tables or pair.table in tables)


def _tried(config: ClaimsConfig) -> list[dict[str, float]]:
    """What each weight of the grid gave, the mean over its seeds, which are not reported."""
    if config.grid:
        run_grid(config)
    found = []
    for weight in config.grid:
        name = grid_name(weight)
        runs = [read_scores(scores_of(config.out, name, s))["metrics"] for s in config.grid_seeds]
        shares = [_share(config, name, seed) for seed in config.grid_seeds]
        means = {
            metric: float(np.mean([run[metric]["value"] for run in runs]))
            for metric in (*PRIMARY, *_PRINTED)
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
    share = float(np.mean([_share(config, pair.other, seed) for seed in seeds]))
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


def _share(config: ClaimsConfig, row: str, seed: int) -> float:
    file = activity_of(config.out, row, seed)
    return float(json.loads(file.read_bytes())["consistency_gradient"])


def page_of(tables: Tables) -> str:
    """What was found, as Markdown."""
    lines = [
        "Written by `idol-bench claims`; claims.json has all numbers.",
        "",
        "A difference is the second row's value minus the first's, paired by seed and video, with "
        "intervals of 95 % over videos and over seeds. *Shown* is what both exclude 0 for; "
        "everything else is *not shown*, which does not say that it is false. *Inactive*: the "
        "consistency losses' weighted gradient is under 1 % of the denoising loss's, so that the "
        "row cannot differ by what it is meant to.",
    ]
    for name, table in tables.items():
        lines += ["", f"### {name}", *_section(table)]
    return "\n".join(lines) + "\n"


def _section(table: Mapping[str, Any]) -> list[str]:
    settings, pairs = table["settings"], table["pairs"]
    trained = (
        f"{settings['video_steps']} steps of stage video a row, all from `{settings['start']}`"
        if settings.get("start")
        else f"{settings['image_steps']} and {settings['video_steps']} steps of stages image and "
        "video a row"
    )
    lines = [
        f"Preset `tiny`, {trained}, {len(pairs[0]['seeds'])} seeds, {settings['clips']} held-out "
        f"clips at {settings['sampling_steps']} sampling steps, on "
        f"{'a GPU' if settings['device'] == 'cuda' else 'CPUs'}; commit `{table['commit']}`. "
        f"Weights of the consistency losses: {_told_weights(table)}.",
        "",
        "| row → row | measure | paper | ours | over videos | over seeds | |",
        "|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        for name, found in pair["measures"].items():
            if name not in PRIMARY:
                continue
            values = found["over_videos"]["value"]
            word = f"inactive: {found['verdict']}" if pair["inactive"] else found["verdict"]
            lines.append(
                f"| {pair['first']} → {pair['other']} | {METRICS[name].title} "
                f"| {_papers(pair, name)} | {values:+.4f} | {_shown(found['over_videos'])} "
                f"| {_shown(found['over_seeds'])} | {word} |"
            )
    lines += [
        "",
        "Means over seeds; Frechet distances of so few clips are printed and not judged:",
        "",
        "| row | " + " | ".join(_PRINTED) + " |",
        "|---" * (len(_PRINTED) + 1) + "|",
    ]
    for row, values in {r: v for pair in pairs for r, v in pair["values"].items()}.items():
        cells = [f"{np.mean(values[n]):.4g}" if n in values else "not computed" for n in _PRINTED]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    if tried := table.get("grid"):
        names = [name for name in dict.fromkeys((*PRIMARY, *_PRINTED)) if name in tried[0]]
        lines += [
            "",
            "The grid; share is the consistency losses' gradient over the denoising loss's:",
            "",
            f"| weight | share | {' | '.join(names)} |",
            "|---" * (len(names) + 2) + "|",
        ]
        for one in tried:
            cells = [f"{one[name]:.4g}" for name in names]
            share = f"{one['consistency_gradient']:.2%}"
            lines.append(f"| {one['weight']:g} | {share} | {' | '.join(cells)} |")
    return lines


def _told_weights(table: Mapping[str, Any]) -> str:
    settings, weights = table["settings"], table["weights"]
    if weights is None:
        return "the paper's, 0.01"
    return f"{weights[0]:g}, found by the grid on seeds {settings['grid_seeds']}"


_PRINTED = ("depth_rmse", "edge_f1", "psnr_person", "fvd", "fid")


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
