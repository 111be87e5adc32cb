"""What claims came to, as a page: for each table differences of rows, and means of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from idol.bench.claims.rows import variant_of
from idol.evaluate.metrics import METRICS
from idol.variants import variant_called

__all__ = ["PRIMARY", "PRINTED", "Tables", "page_of"]

Tables = dict[str, dict[str, Any]]
"""What was found, by the paper's name of the table."""

PRIMARY = ("depth_rmse", "edge_f1", "akd")
"""What is judged, where it was measured; all else is printed."""

PRINTED = ("depth_rmse", "depth_rmse_person", "edge_f1", "psnr_person", "mkr", "fvd", "fid")
"""What a row's means are shown of."""

_WEIGHTS = {"motion_weight", "cross_attention_weight"}


def page_of(tables: Tables) -> str:
    """What was found, as Markdown."""
    lines = [
        "Written by `idol-bench claims`; claims.json has all numbers of these tables.",
        "",
        "A difference is the second row's value minus the first's, paired by seed and video, with "
        "intervals of 95 % over videos and over seeds (Student's t of two). *Shown* is what both "
        "exclude 0 for; "
        "everything else is *not shown*, which does not say that it is false. *Inactive*: the "
        "weighted gradient of the loss that the second row adds is under 1 % of the denoising "
        "loss's, so that the row cannot differ by what it is meant to. *Too few videos*: fewer "
        "than half of them have the measure in all runs. Verdicts are not corrected for their "
        "number.",
    ]
    grids: list[Any] = []
    for name, table in tables.items():
        lines += ["", f"### {name}", *_section(table, with_grid=table.get("grid") not in grids)]
        grids.append(table.get("grid"))
    return "\n".join(lines) + "\n"


def _section(table: Mapping[str, Any], *, with_grid: bool) -> list[str]:
    settings, pairs = table["settings"], table["pairs"]
    trained = (
        f"{settings['video_steps']} steps of stage video a row, all from `{settings['start']}`"
        if settings.get("start")
        else f"{settings['image_steps']} and {settings['video_steps']} steps of stages image and "
        "video a row"
    )
    clips = table.get("reference", {}).get("clips", settings["clips"])  # there may be fewer
    lines = [
        f"Preset `tiny`, {trained}, {len(pairs[0]['seeds'])} seeds, {clips} held-out "
        f"clips by {settings['sampling_steps']} steps of {settings['scheduler']} with a guidance "
        f"of {table['guidance']:g}, on "
        f"{'a GPU' if settings['device'] == 'cuda' else 'CPUs'}; commit `{table['commit']}`."
        + _told_weights(table),
        "",
        "| row → row | measure | videos | paper | ours | over videos | over seeds | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        for name, found in pair["measures"].items():
            if name not in PRIMARY:
                continue
            values = found["over_videos"]["value"]
            word = f"inactive: {found['verdict']}" if pair["inactive"] else found["verdict"]
            lines.append(
                f"| {pair['first']} → {pair['other']} | {METRICS[name].title} "
                f"| {found['over_videos']['videos']} | {_papers(pair, name)} | {values:+.4f} "
                f"| {_shown(found['over_videos'])} "
                f"| {_shown(found['over_seeds'])} | {word} |"
            )
    lines += [
        "",
        "Means over seeds; Frechet distances of so few clips are printed and not judged:",
        "",
        "| row | " + " | ".join(PRINTED) + " |",
        "|---" * (len(PRINTED) + 1) + "|",
    ]
    for row, values in {r: v for pair in pairs for r, v in pair["values"].items()}.items():
        cells = [f"{np.mean(values[n]):.4g}" if n in values else "not computed" for n in PRINTED]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    if with_grid and (tried := table.get("grid")):
        measures = dict.fromkeys((*PRIMARY, *PRINTED))
        names = [name for name in measures if any(name in one for one in tried)]
        lines += [
            "",
            "The grid; share is the consistency losses' gradient over the denoising loss's:",
            "",
            f"| weight | share | {' | '.join(names)} |",
            "|---" * (len(names) + 2) + "|",
        ]
        for one in tried:
            cells = [f"{one[name]:.4g}" if name in one else "not computed" for name in names]
            share = f"{one['consistency_gradient']:.2%}"
            lines.append(f"| {one['weight']:g} | {share} | {' | '.join(cells)} |")
    return lines


def _told_weights(table: Mapping[str, Any]) -> str:
    settings, weights = table["settings"], table["weights"]
    rows = {row for pair in table["pairs"] for row in (pair["first"], pair["other"])}
    if all(variant_called(variant_of(row)).loss.keys() >= _WEIGHTS for row in rows):
        return ""  # none of them has these losses
    if weights is None:
        return " Weights of the consistency losses: the paper's, 0.01."
    seeds = settings["grid_seeds"]
    return (
        f" Weights of the consistency losses: {weights[0]:g}, found by the grid on seeds {seeds}."
    )


def _papers(pair: Mapping[str, Any], name: str) -> str:
    if name != "depth_rmse" or pair["depth"] is None:
        return "no number"
    first, other = pair["depth"]
    return f"{other - first:+.4f}"


def _shown(interval: Mapping[str, Any]) -> str:
    if interval["low"] is None:
        return "of one alone"
    return f"{interval['low']:+.4f} to {interval['high']:+.4f}"
