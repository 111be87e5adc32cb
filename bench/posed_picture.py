"""What the posed foreground has by itself, without a model: docs/laptop-model.md.

    python bench/posed_picture.py SHARDS --out FOLDER [--split train] [--metrics psnr ...]

SHARDS are clips whose joints are known. In each frame the foreground's person is laid over the
background, its hole filled, limb by limb (`shards.sample.posed`); the pictures, with nobody in
depth, are scored as what a model makes (`idol-eval score`, protocol clean-8), so that its scores
stand beside those of `idol-eval run`. FOLDER gets the pictures and the scores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from idol.config.evaluate import ScoreConfig
from idol.errors import IdolError
from idol.evaluate.report import print_scores, write_scores
from idol.evaluate.score import score
from idol.generate.generator import conditions_of
from idol.generate.given import given_clips
from idol.generate.posing import posed_frames
from shards import Clip, open_dataset
from shards.command import run
from shards.errors import ShardsError
from shards.stream.foreground import holed


def picture(clip: Clip) -> np.ndarray:
    """(F, S, S, 3) uint8: the person of the clip's foreground over its background in each pose.

    Raises ShardsError where joints are not known.
    """
    given = conditions_of(clip)
    (one,) = given_clips(
        given.foreground,
        given.foreground_mask,
        given.background,
        given.background_mask,
        given.skeletons,
        given.foreground_joints,
        given.joints,
    )
    place = holed(given.background, given.background_mask, "filled")
    laid = posed_frames(one, place, given.size, given.size)
    if laid is None:
        raise ShardsError(f"{clip.info['key']}: its joints are not known: build its shards anew")
    return laid[0]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--metrics", nargs="+", default=())
    arguments = parser.parse_args(argv)
    dataset = open_dataset(arguments.shards)
    made = arguments.out / "pictures"
    shards = dataset.shards_of(arguments.split)
    for key in (sample.key for shard in shards for sample in shard.manifest.samples):
        frames = picture(dataset.read(key))
        folder = made / key
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "depth.npy", np.ones(frames.shape[:3], np.float32))
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{number:03d}.png"), frame[..., ::-1])
    config = ScoreConfig(
        generated=str(made),
        reference=arguments.shards,
        split=arguments.split,
        protocol="clean-8",
        metrics=tuple(arguments.metrics),
        out=arguments.out / "scores",
    )
    scores = score(config)
    print_scores(scores)
    write_scores(scores, config.out)
    return 0


if __name__ == "__main__":
    sys.exit(run("posed_picture.py", main, errors=(IdolError, ShardsError, OSError)))
