"""Score your own generator on shards: python examples/score_own_generator.py SHARDS"""

import sys
from pathlib import Path

import cv2
import numpy as np

from idol.config.evaluate import ScoreConfig
from idol.evaluate.report import print_scores
from idol.evaluate.score import score
from shards import Clip, open_dataset


def generate(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Yours: from the foreground, the background and the poses to (F, S, S, 3) uint8 frames and
    (F, S, S) float32 depth in [0, 1]. This one repeats the background, and sees nobody."""
    return np.stack([clip.background] * len(clip.pose)), np.ones(clip.pose.shape[:3], np.float32)


dataset = open_dataset(sys.argv[1])
for sample in (sample for shard in dataset.shards_of("val") for sample in shard.manifest.samples):
    frames, depth = generate(dataset.read(sample.key))
    folder = Path("generated") / sample.key
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "depth.npy", depth)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame[..., ::-1])
config = ScoreConfig(
    generated="generated", reference=sys.argv[1], protocol="clean-8", out=Path("scores")
)
print_scores(score(config))
