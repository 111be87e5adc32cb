"""Trains and scores each row with each seed, by the public commands; nothing is done twice.

    OUT/runs/SEED/pretrain-haop   one pre-training a seed, for all rows that have it
    OUT/runs/SEED/ROW/image video scored
    OUT/runs/SEED/ROW/log.txt     what the commands said

Each command runs on one thread, so that a run's bytes do not depend on what runs beside it, and
each is resumable at any point: so is the whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from idol.config.claims import ClaimsConfig
from idol.errors import IdolError
from idol.variants import variant_called

__all__ = ["ClaimsError", "Weights", "pretrain", "run_row", "run_rows", "scores_of"]

Weights = tuple[float, float] | None
"""Of the motion and the cross-attention loss; None: the paper's."""


class ClaimsError(IdolError):
    """A command of a row failed; the message names its log."""


def scores_of(out: Path, row: str, seed: int) -> Path:
    """The folder of a row's scores."""
    return out / "runs" / str(seed) / row / "scored"


def run_rows(
    config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int], weights: Weights
) -> None:
    """Run all rows with all seeds, `config.jobs` side by side.

    Raises:
        ClaimsError: a command failed.
    """
    for kind in dict.fromkeys(variant_called(row).pretraining for row in rows):
        if kind != "none":
            _all(config, [(pretrain, config, kind, seed) for seed in seeds])
    _all(config, [(run_row, config, row, seed, weights, row) for seed in seeds for row in rows])


def run_row(config: ClaimsConfig, row: str, seed: int, weights: Weights, name: str) -> None:
    """Train a row's image and video stage, and score it, in the folder called `name`."""
    variant = variant_called(row)
    folder = config.out / "runs" / str(seed) / name
    before = folder.parent / f"pretrain-{variant.pretraining}"
    start = [] if variant.pretraining == "none" else ["--init-from", str(before)]
    losses = [] if weights is None else _weights(row, weights)
    for stage, steps in (("image", config.image_steps), ("video", config.video_steps)):
        _train(config, folder / stage, row, stage, steps, seed, [*start, *losses])
        start = ["--init-from", str(folder / stage)]
    if not (folder / "scored" / "scores.json").is_file():
        command = ["--model", str(folder / "video"), "--shards", str(config.shards)]
        command += ["--out", str(folder / "scored"), "--limit", str(config.clips), "--name", row]
        command += ["--steps", str(config.sampling_steps), "--scheduler", config.scheduler]
        # The noise of a seed is the same for all rows: what differs is the row.
        command += ["--seed", str(seed), "--pose", config.pose, "--device", "cpu"]
        if config.metrics:
            command += ["--metrics", *config.metrics]
        _command(folder / "log.txt", "idol.evaluate.cli", ["run", *command])


def pretrain(config: ClaimsConfig, kind: str, seed: int) -> None:
    """Run a seed's pre-training, by `haop` or `hap`."""
    row = "hap" if kind == "hap" else "idol"
    output = config.out / "runs" / str(seed) / f"pretrain-{kind}"
    _train(config, output, row, "pretrain", config.pretrain_steps, seed, [])


def _train(
    config: ClaimsConfig,
    output: Path,
    row: str,
    stage: str,
    steps: int,
    seed: int,
    more: Sequence[str],
) -> None:
    if (output / "model").is_dir():
        return
    command = ["--config", str(config.train)] if config.train else []
    command += ["--stage", stage, "--variant", row, "--preset", "tiny"]
    command += ["--shards", str(config.shards), "--output", str(output), "--cpu"]
    command += ["--steps", str(steps), "--seed", str(seed), *more]
    command += ["--sample-every", "0", "--validate-every", "0", "--no-progress"]
    _command(output.parent / "log.txt", "idol.train.cli", command)


def _weights(row: str, weights: tuple[float, float]) -> Iterator[str]:
    """Options for the weights of the losses that a row has."""
    fixed = variant_called(row).loss
    for name, weight in zip(("motion_weight", "cross_attention_weight"), weights, strict=True):
        if name not in fixed:
            yield from (f"--loss.{name.replace('_', '-')}", str(weight))


def _command(log: Path, module: str, arguments: Sequence[str]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with log.open("ab") as told:
        told.write(f"$ {module} {' '.join(arguments)}\n".encode())
        told.flush()
        code = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdout=told,
            stderr=told,
            env=environment,
            check=False,
        ).returncode
    if code:
        raise ClaimsError(
            f"{module} ended with {code}: {log} says why, at its end; run the same command to "
            "resume"
        )


def _all(config: ClaimsConfig, calls: Sequence[tuple]) -> None:
    with ThreadPoolExecutor(config.jobs) as pool:
        for done in [pool.submit(*call) for call in calls]:
            done.result()
