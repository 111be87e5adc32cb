"""Poor depth, and whether its annotator's scores keep it from harm: docs/training.md.

    python bench/depth_scores.py --shards people/train --val people/val --out OUT
    python bench/depth_scores.py ... --out OUT2 --start idol/pretrained/people64 --steps 240

Of rendered people a share of the frames is given somebody else's depth, and every frame a score:
that of a poor one drawn from 0 to .3, of the others from .7 to 1. Stage image of preset tiny is
then trained from nothing, or with --start stage video from that model: on the depth as it is true,
on the poor one, and on the poor one with --depth-scores, with the same clips, order and noise.
Measured is the error of the depth stream's noise on held-out clips with their true depth, paired by
clip; OUT/report.json has everything.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from idol.config import TrainConfig, defaults
from idol.config.checks import ConfigError
from idol.config.model import StageName
from idol.data.datasets import open_datasets
from idol.data.preparation import Preparation
from idol.diffusion.schedule import noise_schedule
from idol.errors import IdolError
from idol.evaluate.bootstrap import mean_interval
from idol.model_info import find_model, read_info
from idol.saved import load_trained
from idol.train.train import train
from idol.train.validation import validate
from shards import Clip, open_dataset
from shards.command import run
from shards.dataset import open_for_build
from shards.errors import ShardsError
from shards.files.atomic import write_atomically
from shards.sample.codec import encode_clip
from shards.writer import commit_shard

ROWS = ("true", "poor", "poor, weighed")
SETTINGS = "settings.json"
"""What is in a folder, so that it is not taken for something else."""


def main(argv: Sequence[str]) -> int:
    """Run the experiment; what is done already, with the same settings, is not done again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--shards", required=True, help="rendered people to learn from")
    parser.add_argument("--val", required=True, help="others, held out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.4, help="of frames with another's depth")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--held-out", type=int, default=48)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--start", type=Path, help="a model that all go on with, in stage video")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="with --start")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items()}
    check_alike(given.out, settings)
    held_out = list(islice(open_dataset(given.val).clips(), given.held_out))
    clips = list(islice(open_dataset(given.shards).clips(), given.clips))
    write_atomically(given.out / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())
    written = {share: given.out / f"share-{share:g}" for share in (0.0, given.share)}
    for share, folder in written.items():
        if not (folder / "dataset.json").is_file():
            _write(folder, clips, held_out, share)
    errors: dict[str, list[np.ndarray]] = {row: [] for row in ROWS}
    for seed in given.seeds:
        for row in ROWS:
            shards = written[0.0 if row == "true" else given.share]
            output = given.out / str(seed) / row.replace(", ", "-")
            config = _config(shards, output, given, seed, scores=row == ROWS[-1])
            errors[row].append(_error(config))
    means = {row: np.mean(found, axis=0) for row, found in errors.items()}
    report = {
        "settings": settings,
        "rows": {row: mean_interval(each).as_json() for row, each in means.items()},
        "weighed minus poor": mean_interval(means[ROWS[2]] - means[ROWS[1]]).as_json(),
        "poor minus true": mean_interval(means[ROWS[1]] - means[ROWS[0]]).as_json(),
        "seeds": {row: [float(e.mean()) for e in found] for row, found in errors.items()},
    }
    (given.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0


def check_alike(out: Path, settings: dict[str, Any]) -> None:
    """Refuse what was made with other settings, and would be reported under these.

    Raises ConfigError.
    """
    file = out / SETTINGS
    if not file.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise ConfigError(f"{out} does not say what it was made with: name another --out")
        return
    before = json.loads(file.read_bytes())
    other = [
        f"--{name.replace('_', '-')} {before.get(name)}"
        for name, value in settings.items()
        if name not in ("out", "seeds") and before.get(name) != value  # each seed has a folder
    ]
    if other:
        raise ConfigError(f"{out} was made with {', '.join(other)}: name another --out")


def poor(clips: Sequence[Clip], share: float, seed: int = 0) -> Iterator[Clip]:
    """The clips with a share of their depth taken from others, and a score for each frame."""
    random = np.random.default_rng(seed)
    for number, clip in enumerate(clips):
        assert clip.depth_person is not None
        bad = random.random(len(clip.rgb)) < share
        scores = np.where(bad, random.uniform(0, 0.3, bad.size), random.uniform(0.7, 1, bad.size))
        depth = clip.depth_person.copy()
        for frame in np.flatnonzero(bad):
            further = random.integers(1, len(clips))
            other = clips[(number + further) % len(clips)].depth_person
            assert other is not None
            depth[frame] = other[random.integers(len(other))]
        told = dict(clip.info.get("depth", {}))
        told["depth_person"] = {**told.get("depth_person", {}), "scores": scores.tolist()}
        info = {**clip.info, "depth": told}
        yield dataclasses.replace(clip, depth_person=depth, info=info)


def _write(folder: Path, clips: Sequence[Clip], held_out: Sequence[Clip], share: float) -> None:
    build = open_for_build(folder, {})
    for split, chosen in (("train", poor(clips, share)), ("val", poor(held_out, 0))):
        commit_shard(folder, split, 0, [(c.key, encode_clip(c)) for c in chosen])
    build.finish({"train": 1, "val": 1})


def _config(
    shards: Path, output: Path, given: argparse.Namespace, seed: int, *, scores: bool
) -> TrainConfig:
    stage: StageName = "video" if given.start else "image"
    model = read_info(find_model(given.start)).settings if given.start else None
    start = defaults(stage, "tiny", shards=[str(shards)], output=output, model=model)
    rate = given.learning_rate if given.start else start.optimizer.learning_rate
    return dataclasses.replace(
        start,
        init_from=given.start,
        data=dataclasses.replace(start.data, depth_scores=scores, workers=0),
        optimizer=dataclasses.replace(start.optimizer, steps=given.steps, learning_rate=rate),
        run=dataclasses.replace(start.run, seed=seed, cpu=True),
        report=dataclasses.replace(
            start.report, sample_every=0, validate_every=0, tensorboard=False, progress=False
        ),
    )


def _error(config: TrainConfig) -> np.ndarray:
    """Each held-out clip's error of the noise of depth, after training."""
    model = config.output / "model"
    if not model.is_dir():
        train(config)
    trained, _ = load_trained(model)
    prepare = Preparation.of(config, trained.codec, trained.image_encoder)
    count = sum(1 for _ in open_dataset(Path(config.shards[0]) / "val").clips())
    found = []
    device = torch.device("cpu")
    for batch in open_datasets(config).first_clips("val", count):
        for number in range(len(batch)):
            one = batch.map(lambda array, n=number: array[n : n + 1])
            one = dataclasses.replace(
                one, key=batch.key[number : number + 1], positions=batch.positions[number:][:1]
            )
            with torch.no_grad():
                latents = prepare(one, device)
            found.append(validate(trained.denoiser, [latents], noise_schedule())["denoise_depth"])
    return np.array(found)


if __name__ == "__main__":
    sys.exit(run("depth_scores.py", main, errors=(IdolError, ShardsError, OSError)))
