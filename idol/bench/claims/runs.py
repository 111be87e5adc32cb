"""Trains and scores each row with each seed, by the public commands; nothing is done twice.

    OUT/runs/SEED/pretrain-haop   one pre-training a seed, for all rows that have it
    OUT/runs/SEED/autoencoder     of rows on its latents; with depth, autoencoder-depth
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

from idol.bench.claims.rows import CODEC, variant_of
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
    codecs = [codec for row in rows if (codec := _codec_of(row))]
    for name in dict.fromkeys(codecs):
        _all(config, [(_train_codec, config, name, seed) for seed in seeds])
    for row in {_pretrained(row): row for row in rows if _pretrained(row)}.values():
        _all(config, [(pretrain, config, row, seed) for seed in seeds])
    _all(config, [(run_row, config, row, seed, weights, row) for seed in seeds for row in rows])


def run_row(config: ClaimsConfig, row: str, seed: int, weights: Weights, name: str) -> None:
    """Train a row's image and video stage, and score it, in the folder called `name`."""
    folder = config.out / "runs" / str(seed) / name
    before = _pretrained(row)
    start = ["--init-from", str(folder.parent / before)] if before else []
    start += _codec_option(config, row, seed)
    losses = [] if weights is None else _weights(row, weights)
    for stage, steps in (("image", config.image_steps), ("video", config.video_steps)):
        _train(config, folder / stage, row, stage, steps, seed, [*start, *losses])
        start = ["--init-from", str(folder / stage), *_codec_option(config, row, seed)]
    if not (folder / "scored" / "scores.json").is_file():
        command = ["--model", str(folder / "video"), "--shards", str(config.shards)]
        command += ["--out", str(folder / "scored"), "--limit", str(config.clips), "--name", row]
        command += ["--steps", str(config.sampling_steps), "--scheduler", config.scheduler]
        # The noise of a seed is the same for all rows: what differs is the row.
        command += ["--seed", str(seed), "--pose", config.pose, "--device", "cpu"]
        if config.metrics:
            command += ["--metrics", *config.metrics]
        _command(folder / "log.txt", "idol.evaluate.cli", ["run", *command])


def pretrain(config: ClaimsConfig, row: str, seed: int) -> None:
    """Run a seed's pre-training that this row starts from, with others."""
    name = _pretrained(row)
    if not name:
        return
    by = "idol" if variant_called(variant_of(row)).pretraining == "haop" else "hap"
    of = variant_of(row) if name.endswith("depth") else by
    codec = _codec_option(config, row, seed)
    output = config.out / "runs" / str(seed) / name
    _train(config, output, of, "pretrain", config.pretrain_steps, seed, codec)


def _codec_of(row: str) -> str:
    """The folder of the autoencoder whose latents a row is trained on; none for patches."""
    if not row.endswith(CODEC):
        return ""
    joint = variant_called(variant_of(row)).model.get("streams") == "joint"
    return "autoencoder-depth" if joint else "autoencoder"


def _codec_option(config: ClaimsConfig, row: str, seed: int) -> list[str]:
    name = _codec_of(row)
    return ["--vae", str(config.out / "runs" / str(seed) / name / "model")] if name else []


def _pretrained(row: str) -> str:
    """The folder of the pre-training that a row starts from; rows that start alike share it."""
    kind, codec = variant_called(variant_of(row)).pretraining, _codec_of(row)
    return "" if kind == "none" else f"pretrain-{kind}" + (f"-{codec}" if codec else "")


def _train_codec(config: ClaimsConfig, name: str, seed: int) -> None:
    output = config.out / "runs" / str(seed) / name
    depth = ["--autoencoder.depth"] if name == "autoencoder-depth" else []
    _train(config, output, "idol", "autoencoder", config.codec_steps, seed, depth)


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
    file = config.train_codec if stage == "autoencoder" else config.train
    command = ["--config", str(file)] if file else []
    command += ["--stage", stage, "--variant", variant_of(row), "--preset", "tiny"]
    command += ["--shards", str(config.shards), "--output", str(output), "--cpu"]
    command += ["--steps", str(steps), "--seed", str(seed), *more]
    command += ["--sample-every", "0", "--validate-every", "0", "--no-progress"]
    _command(output.parent / "log.txt", "idol.train.cli", command)


def _weights(row: str, weights: tuple[float, float]) -> Iterator[str]:
    """Options for the weights of the losses that a row has."""
    fixed = variant_called(variant_of(row)).loss
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
