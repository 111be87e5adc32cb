"""Trains and scores each row with each seed, by the public commands; nothing is done twice.

    OUT/runs/SEED/pretrain-haop   one pre-training a seed, for all rows that have it
    OUT/runs/SEED/autoencoder     of rows on its latents; with depth, autoencoder-depth
    OUT/runs/SEED/ROW/image       that of the first row which trains it alike
    OUT/runs/SEED/ROW/video scored activity.json
    OUT/runs/SEED/ROW/log.txt     what the commands said

With `ClaimsConfig.start` there are no pre-training and no stage image: each row is a stage video.
Each command runs on one thread, so that a run's bytes do not depend on what runs beside it, and
each is resumable at any point: so is the whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from idol.bench.claims.rows import CODEC, DETAILS, HEADLINE, SYSTEMS, rows_of, variant_of
from idol.config.claims import ClaimsConfig
from idol.errors import IdolError
from idol.variants import variant_called

__all__ = [
    "ClaimsError",
    "Weights",
    "activity_of",
    "check_start",
    "grid_name",
    "run_grid",
    "run_rows",
    "scores_of",
    "trained_alike",
]

Weights = tuple[float, float] | None
"""Of the motion and the cross-attention loss; None: the paper's."""


class ClaimsError(IdolError):
    """A command of a row failed; the message names its log."""


def scores_of(out: Path, row: str, seed: int) -> Path:
    """The folder of a row's scores."""
    return out / "runs" / str(seed) / row / "scored"


def activity_of(out: Path, row: str, seed: int) -> Path:
    """The file with a row's share of the consistency losses in the gradient."""
    return out / "runs" / str(seed) / row / "activity.json"


def run_rows(
    config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int], weights: Weights
) -> None:
    """Run all rows with all seeds, a seed after the other, `config.jobs` side by side.

    Raises:
        ClaimsError: a command failed.
    """
    _prepare(config, rows, seeds)
    with ThreadPoolExecutor(config.jobs) as pool:
        done: list[Future[None]] = []
        for seed in seeds:
            # Begun before the rows that wait for them, so nothing waits for what has no thread.
            images = {
                first: pool.submit(_run_images, config, first, seed, weights)
                for first in dict.fromkeys(trained_alike(row) for row in rows)
            }
            done += [
                pool.submit(_row_after, images[trained_alike(row)], config, row, seed, weights)
                for row in rows
            ]
        for row in done:
            row.result()


def run_grid(config: ClaimsConfig) -> None:
    """Run stage video of `idol` with each weight of the grid, from one stage image a seed.

    Stage image has the paper's weights: it has no motion loss, and takes most of the time.

    Raises:
        ClaimsError: a command failed.
    """
    _prepare(config, ["idol"], config.grid_seeds)
    _all(config, [(_run_images, config, "idol", seed, None) for seed in config.grid_seeds])
    _all(
        config,
        [
            (_run_video, config, "idol", seed, (weight, weight), grid_name(weight))
            for seed in config.grid_seeds
            for weight in config.grid
        ],
    )


def grid_name(weight: float) -> str:
    """The folder of the grid's runs with a weight, beside those of rows."""
    return f"grid-{weight:g}"


def _prepare(config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int]) -> None:
    """Run what some rows start from: autoencoders, then pre-trainings. Raises ClaimsError."""
    if config.start is not None:
        return
    codecs = [codec for row in rows if (codec := _codec_of(row))]
    for name in dict.fromkeys(codecs):
        _all(config, [(_train_codec, config, name, seed) for seed in seeds])
    for row in {_pretrained(row): row for row in rows if _pretrained(row)}.values():
        _all(config, [(_pretrain, config, row, seed) for seed in seeds])


def trained_alike(row: str) -> str:
    """The first row, itself maybe, whose stage image trains the same weights on the same latents.

    So of two rows that differ by the motion loss alone, which one frame has not, one is trained.
    """
    mine = variant_called(variant_of(row))
    return next(
        other
        for other in [*rows_of(HEADLINE + DETAILS + SYSTEMS), row]
        if row.endswith(CODEC) == other.endswith(CODEC)
        and mine.trains_images_as(variant_called(variant_of(other)))
    )


def check_start(start: Path, rows: Sequence[str]) -> None:
    """Before hours of training: all rows are the paper's model but for losses, on its latents.

    Raises:
        ClaimsError: naming those that have not.
    """
    own = variant_called("idol")
    others = [
        row
        for row in rows
        if row.endswith(CODEC) or not own.differs_by_losses_alone(variant_called(row))
    ]
    if others:
        raise ClaimsError(
            f"--start {start} cannot go on as {', '.join(others)}, which differ by more than "
            "losses: name the table of those that do not by --tables 5"
        )


def _run_images(config: ClaimsConfig, row: str, seed: int, weights: Weights) -> None:
    """Train stage image of a row, or of the one that trains it alike."""
    if config.start is not None:
        return
    row = trained_alike(row)
    folder = config.out / "runs" / str(seed) / row
    before = _pretrained(row)
    start = ["--init-from", str(folder.parent / before)] if before else []
    start += [*_codec_option(config, row, seed), *_weights(row, weights)]
    _train(config, folder / "image", row, "image", config.image_steps, seed, start)


def _run_video(config: ClaimsConfig, row: str, seed: int, weights: Weights, name: str) -> None:
    """Train stage video of a row, whose stage image is there, and score it, in folder `name`."""
    folder = config.out / "runs" / str(seed) / name
    before = config.start or folder.parent / trained_alike(row) / "image"
    start = ["--init-from", str(before)]
    start += [*_codec_option(config, row, seed), *_weights(row, weights)]
    _train(config, folder / "video", row, "video", config.video_steps, seed, start)
    if not (folder / "scored" / "scores.json").is_file():
        command = ["--model", str(folder / "video"), "--shards"]
        command += (
            [str(config.held_out), "--split", "train"] if config.held_out else [str(config.shards)]
        )
        command += ["--out", str(folder / "scored"), "--limit", str(config.clips), "--name", row]
        command += ["--steps", str(config.sampling_steps), "--scheduler", config.scheduler]
        # The noise of a seed is the same for all rows: what differs is the row.
        command += ["--seed", str(seed), "--pose", config.pose, "--device", config.device]
        if config.metrics:
            command += ["--metrics", *config.metrics]
        _command(folder / "log.txt", "idol.evaluate.cli", ["run", *command])
    activity = activity_of(config.out, name, seed)
    if not activity.is_file():
        measured = [str(folder / "video"), str(activity)]
        _command(folder / "log.txt", "idol.bench.claims.activity", measured)


def _row_after(
    images: Future[None], config: ClaimsConfig, row: str, seed: int, weights: Weights
) -> None:
    images.result()
    _run_video(config, row, seed, weights, row)


def _pretrain(config: ClaimsConfig, row: str, seed: int) -> None:
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
    command += ["--shards", str(config.shards), "--output", str(output)]
    command += ["--cpu"] if config.device == "cpu" else []
    command += ["--steps", str(steps), "--seed", str(seed), *more]
    command += ["--sample-every", "0", "--validate-every", "0", "--no-progress"]
    _command(output.parent / "log.txt", "idol.train.cli", command)


def _weights(row: str, weights: Weights) -> Iterator[str]:
    """Options for the weights of the losses that a row has; none for the paper's."""
    if weights is None:
        return
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
