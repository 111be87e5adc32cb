"""Trains and scores each row with each seed, by the public commands; nothing is done twice.

    OUT/runs/SEED/pretrain-haop   one pre-training a seed, for all rows that have it
    OUT/runs/SEED/autoencoder     of rows on its latents; with depth, autoencoder-depth
    OUT/runs/SEED/ROW/image       that of the first row which trains it alike
    OUT/runs/SEED/ROW/video scored gradients.json
    OUT/runs/SEED/ROW/video.log   beside each of these what its command said

With `ClaimsConfig.start` there are no pre-training and no stage image: each row is a stage video.
Each command runs on one thread, so that a run's bytes do not depend on what runs beside it, and
each is resumable at any point: so is the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

from idol.bench.claims.commands import Commands, Step, check
from idol.bench.claims.errors import ClaimsError
from idol.bench.claims.finished import check_measured, check_scored, check_trained
from idol.bench.claims.rows import CODEC, DETAILS, GUIDANCE, HEADLINE, SYSTEMS, rows_of, variant_of
from idol.config.claims import ClaimsConfig
from idol.evaluate.report import SCORES
from idol.model_info import find_model, read_info
from idol.variants import variant_called

__all__ = [
    "Weights",
    "check_grid",
    "check_rows",
    "check_start",
    "gradients_of",
    "grid_name",
    "run_grid",
    "run_rows",
    "scores_of",
    "shards_of",
    "trained_alike",
]

Weights = tuple[float, float] | None
"""Of the motion and the cross-attention loss; None: the paper's."""


def scores_of(out: Path, row: str, seed: int) -> Path:
    """The folder of a row's scores."""
    return out / "runs" / str(seed) / row / "scored"


def gradients_of(out: Path, row: str, seed: int) -> Path:
    """The file with the consistency losses' shares of a row's gradient."""
    return out / "runs" / str(seed) / row / "gradients.json"


def shards_of(config: ClaimsConfig, row: str) -> Path:
    """The dataset that a row learns from.

    Raises:
        ClaimsError: it learns from skeletons as DWPose's are drawn, and there are none.
    """
    if variant_called(variant_of(row)).poses != "dwpose":
        return config.shards
    if config.dwpose_shards is None:
        raise ClaimsError(f"row {row} needs --dwpose-shards")
    return config.dwpose_shards


def check_rows(
    config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int], weights: Weights
) -> None:
    """Ask of what is there of some rows whether it was made with the settings of now.

    Raises:
        ClaimsError: it was not.
        ShardsError: there is no dataset.
        EvaluationError: a row's scores cannot be read.
    """
    plan = _plan(config, rows, seeds, weights)
    for steps in [*plan.before, *plan.images.values(), *plan.videos.values()]:
        check(steps)


def run_rows(
    config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int], weights: Weights
) -> None:
    """Run all rows with all seeds, a seed after the other, `config.jobs` side by side.

    Raises:
        ClaimsError: a command failed, or what is there was made with other settings.
    """
    plan = _plan(config, rows, seeds, weights)
    with Commands(config.jobs) as commands:
        commands.all(plan.before)
        done: list[Future[None]] = []
        for seed in seeds:
            # Begun before the rows that wait for them, so nothing waits for what has no thread.
            begun = {
                row: commands.begin(steps) for (row, of), steps in plan.images.items() if of == seed
            }
            done += [
                commands.begin(plan.videos[row, seed], begun[trained_alike(row)]) for row in rows
            ]
        for row in done:
            row.result()


def check_grid(config: ClaimsConfig) -> None:
    """The same as `check_rows` of the grid's runs. Raises as it."""
    for rows in _grid(config):
        for steps in rows:
            check(steps)


def run_grid(config: ClaimsConfig) -> None:
    """Run stage video of `idol` with each weight of the grid, from one stage image a seed.

    Stage image has the paper's weights: it has no motion loss, and takes most of the time.

    Raises:
        ClaimsError: a command failed, or what is there was made with other settings.
    """
    for rows in _grid(config):
        with Commands(config.jobs) as commands:
            commands.all(rows)


def grid_name(weight: float) -> str:
    """The folder of the grid's runs with a weight, beside those of rows."""
    return f"grid-{weight:g}"


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
    """Before hours of training: all rows have the weights of the model that they would go on with.

    Raises:
        ClaimsError: naming those that have not; or it is of another preset.
        NotAModelError: there is none.
    """
    info = read_info(find_model(start))
    if info.preset != "tiny":
        raise ClaimsError(f"--start {start} is of preset {info.preset}: rows are of tiny")
    own = variant_called(info.variant)
    others = [
        row
        for row in rows
        if row.endswith(CODEC) or not own.has_the_weights_of(variant_called(row))
    ]
    if others:
        raise ClaimsError(
            f"--start {start} cannot go on as {', '.join(others)}, which have other weights: "
            "name the tables of those that do not by --tables 5, or --rows all --tables 5 8"
        )


class _Plan(NamedTuple):
    """All steps of some rows; `images` and `videos` by row and seed."""

    before: list[list[Step]]
    images: dict[tuple[str, int], list[Step]]
    videos: dict[tuple[str, int], list[Step]]


def _plan(
    config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int], weights: Weights
) -> _Plan:
    first = dict.fromkeys(trained_alike(row) for row in rows)
    return _Plan(
        _before(config, rows, seeds),
        {(row, seed): _images(config, row, seed, weights) for seed in seeds for row in first},
        {(row, seed): _video(config, row, seed, weights, row) for seed in seeds for row in rows},
    )


def _grid(config: ClaimsConfig) -> list[list[list[Step]]]:
    """What the grid runs, one list after the other."""
    return [
        _before(config, ["idol"], config.grid_seeds),
        [_images(config, "idol", seed, None) for seed in config.grid_seeds],
        [
            _video(config, "idol", seed, (weight, weight), grid_name(weight))
            for seed in config.grid_seeds
            for weight in config.grid
        ],
    ]


def _before(config: ClaimsConfig, rows: Sequence[str], seeds: Sequence[int]) -> list[list[Step]]:
    """What some rows start from, each once: an autoencoder, then a pre-training on its latents."""
    if config.start is not None:
        return []
    by_codec: dict[str, dict[str, str]] = {}
    for row in rows:
        by_codec.setdefault(_codec_of(row), {}).setdefault(_pretrained(row), row)
    return [
        [
            *([_codec(config, codec, seed)] if codec else []),
            *(_pretraining(config, row, seed) for name, row in pretrained.items() if name),
        ]
        for codec, pretrained in by_codec.items()
        for seed in seeds
    ]


def _images(config: ClaimsConfig, row: str, seed: int, weights: Weights) -> list[Step]:
    """Stage image of a row, or of the one that trains it alike."""
    if config.start is not None:
        return []
    row = trained_alike(row)
    folder = config.out / "runs" / str(seed) / row
    before = _pretrained(row)
    start = ["--init-from", str(folder.parent / before)] if before else []
    start += [*_codec_option(config, row, seed), *_weights(row, weights)]
    return [_training(config, folder / "image", row, "image", config.image_steps, seed, start)]


def _video(config: ClaimsConfig, row: str, seed: int, weights: Weights, name: str) -> list[Step]:
    """Stage video of a row, whose stage image is there, and its scores, in folder `name`."""
    folder = config.out / "runs" / str(seed) / name
    before = config.start or folder.parent / trained_alike(row) / "image"
    start = ["--init-from", str(before)]
    start += [*_codec_option(config, row, seed), *_weights(row, weights)]
    train = _training(config, folder / "video", row, "video", config.video_steps, seed, start)
    scored, gradients = scores_of(config.out, name, seed), gradients_of(config.out, name, seed)
    truth = config.held_out or shards_of(config, row)
    command = ["run", "--model", str(folder / "video"), "--shards", str(truth)]
    command += ["--split", "train"] if config.held_out else []
    command += ["--out", str(scored), "--limit", str(config.clips), "--name", row]
    command += ["--steps", str(config.sampling_steps), "--scheduler", config.scheduler]
    command += ["--guidance", str(GUIDANCE)]
    # The noise of a seed is the same for all rows: what differs is the row.
    command += ["--seed", str(seed), "--pose", config.pose, "--device", config.device]
    if config.metrics:
        command += ["--metrics", *config.metrics]
    return [
        train,
        Step(
            "idol.evaluate.cli",
            command,
            scored / SCORES,
            scored.with_suffix(".log"),
            partial(check_scored, scored, folder / "video", config, seed, truth),
        ),
        Step(
            "idol.bench.claims.gradients",
            [str(folder / "video"), str(gradients)],
            gradients,
            gradients.with_suffix(".log"),
            partial(check_measured, gradients, folder / "video"),
        ),
    ]


def _pretraining(config: ClaimsConfig, row: str, seed: int) -> Step:
    """A seed's pre-training that this row starts from, with others."""
    name = _pretrained(row)
    by = "idol" if variant_called(variant_of(row)).pretraining == "haop" else "hap"
    of = variant_of(row) if name.endswith("depth") else by
    codec = _codec_option(config, row, seed)
    output = config.out / "runs" / str(seed) / name
    return _training(config, output, of, "pretrain", config.pretrain_steps, seed, codec)


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


def _codec(config: ClaimsConfig, name: str, seed: int) -> Step:
    output = config.out / "runs" / str(seed) / name
    depth = ["--autoencoder.depth"] if name == "autoencoder-depth" else []
    return _training(config, output, "idol", "autoencoder", config.codec_steps, seed, depth)


def _training(
    config: ClaimsConfig,
    output: Path,
    row: str,
    stage: str,
    steps: int,
    seed: int,
    more: Sequence[str],
) -> Step:
    file = config.train_codec if stage == "autoencoder" else config.train
    command = ["--config", str(file)] if file else []
    command += ["--stage", stage, "--variant", variant_of(row), "--preset", "tiny"]
    command += ["--shards", str(shards_of(config, row)), "--output", str(output)]
    command += ["--cpu"] if config.device == "cpu" else []
    command += ["--steps", str(steps), "--seed", str(seed), *more]
    command += ["--sample-every", "0", "--validate-every", "0", "--no-progress"]
    check = partial(check_trained, output, command, config.out)
    return Step("idol.train.cli", command, output / "model", output.with_suffix(".log"), check)


def _weights(row: str, weights: Weights) -> Iterator[str]:
    """Options for the weights of the losses that a row has; none for the paper's."""
    if weights is None:
        return
    fixed = variant_called(variant_of(row)).loss
    for name, weight in zip(("motion_weight", "cross_attention_weight"), weights, strict=True):
        if name not in fixed:
            yield from (f"--loss.{name.replace('_', '-')}", str(weight))
