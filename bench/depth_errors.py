"""Where the depth of a person is wrong: at silhouettes, or within them (docs/laptop-model.md).

    python bench/depth_errors.py SHARDS RUN [--split train]

RUN is what `idol-eval run --shards SHARDS --out RUN` left. Pixels of the true person are counted as
`idol-eval` does, those that were made background too, in three parts: where nobody was made, within
two pixels of the true silhouette, and the rest within. Of each the share of the pixels and of the
squared errors, and the error; of those within also with a clip's, and a frame's, own level taken
out. Silhouettes are compared besides, as their intersection over their union, and the whole picture
with two guesses that know more than any model: the true clip's mean everywhere, and in the true
silhouette the person's own mean before white.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from idol.errors import IdolError
from idol.evaluate.depth import person_of
from idol.evaluate.pictures import read_depth_pictures
from idol.evaluate.shard_clips import open_shards
from shards.command import run
from shards.errors import ShardsError

EDGE = 2  # pixels


def errors_of(pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Of clips, each the depth that was made and the true one, (F, H, W) in [0, 1], and the person,
    (F, H, W) bool."""
    parts: dict[str, list[np.ndarray]] = {"nobody_made": [], "edge": [], "within": []}
    of_clip, of_frame, flat, overlap, whole = [], [], [], np.zeros(2), np.zeros(3)
    for made, true, person in pairs:
        wrong = made.astype(np.float64) - true
        somebody = person_of(made)
        mean = true[person].mean(dtype=np.float64) if person.any() else 1.0
        for n, guess in enumerate((true.mean(dtype=np.float64), np.where(person, mean, 1.0))):
            whole[n] += ((guess - true) ** 2).mean()
        whole[2] += (wrong**2).mean()
        kernel = np.ones((3, 3), np.uint8)
        inner = np.stack([cv2.erode(p.astype(np.uint8), kernel, iterations=EDGE) for p in person])
        within = (inner > 0) & somebody
        edge = person & somebody & ~within
        for name, where in (
            ("nobody_made", person & ~somebody), ("edge", edge), ("within", within)
        ):  # fmt: skip
            parts[name].append(wrong[where])
        flat.append(true[person] - true[person].mean(dtype=np.float64))
        overlap += (person & somebody).sum(), (person | somebody).sum()
        if within.any():
            of_clip.append(wrong[within] - wrong[within].mean())
            levels = (wrong[t][where] for t, where in enumerate(within))
            of_frame += [frame - frame.mean() for frame in levels if frame.size]
    if not of_frame or not any(len(values) for values in flat):
        raise IdolError("of no clip is anybody there, both in truth and as it was made")
    squares = {name: np.concatenate(values) ** 2 for name, values in parts.items()}
    pixels = sum(map(len, squares.values()))
    total = sum(float(values.sum()) for values in squares.values())
    everywhere, in_silhouette, all_of_it = np.sqrt(whole / len(pairs))
    found = {
        "all": float(all_of_it),
        "all: the true clip's mean everywhere": float(everywhere),
        "all: the person's mean in the true silhouette": float(in_silhouette),
        "person": (total / pixels) ** 0.5,
        "the true clip's own mean": _rms(np.concatenate(flat)),
        "silhouettes": float(overlap[0] / overlap[1]),
    }
    for name, values in squares.items():
        found[f"{name}: share of pixels"] = len(values) / pixels
        found[f"{name}: share of squared errors"] = float(values.sum()) / total
        found[name] = float(values.mean() ** 0.5) if len(values) else 0.0
    found["within, a clip's level out"] = _rms(np.concatenate(of_clip))
    found["within, a frame's level out"] = _rms(np.concatenate(of_frame))
    return found


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).mean()))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shards")
    parser.add_argument("run", type=Path)
    parser.add_argument("--split")
    arguments = parser.parse_args(argv)
    pairs = []
    for key, scored in open_shards(arguments.shards, arguments.split, None, None).clips.items():
        arrays = scored.read()
        if arrays.depth is None or arrays.mask is None:
            raise IdolError(f"{scored.where}: has no depth, or no mask, of the person")
        folder = arguments.run / "clips" / key / "depth"
        made = read_depth_pictures([folder / f"{n:03d}.png" for n in range(len(arrays.depth))])
        pairs.append((made, arrays.depth, arrays.mask))
    print(json.dumps({k: round(v, 4) for k, v in errors_of(pairs).items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(run("depth_errors.py", main, errors=(IdolError, ShardsError, OSError)))
