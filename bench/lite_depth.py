"""How far lite depth is from the truth, and what each part of it brings.

    PYTHONPATH=.:bench python bench/lite_depth.py [--scenes] [--picture FILE.png]

Needs anny in its environment (see anny_bodies.py). Renders bodies in motion at 256x256, sees
their joints through noise like a pose network's, and compares. Radii of the capsules were fitted
to other bodies, views and moments than these.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from anny_bodies import FPS, Renderer, Sequence, observe
from anny_scenes import SCENES

from preprocess.annotators.lite.depth import (
    BodyPose,
    body_motion,
    depth_range,
    lite_depth,
    normalize_depth,
)
from preprocess.annotators.lite.depth.bones import joints_from_blazepose

SEEDS = (0, 1)

# What is measured: a name, and the settings which leave a part out.
VARIANTS: dict[str, dict] = {
    "lite depth": {},
    "without smoothing": {"cutoff_hz": None},
    "without constant bones": {"constant_bones": False},
    "without blur": {"blur": 0.0},
    "without all three": {"cutoff_hz": None, "constant_bones": False, "blur": 0.0},
}


def depth_errors(depth: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Mean absolute error over the person in cm: relative to the hips as it is; and offset-aligned,
    that is after taking from each frame the median of its error."""
    difference = 100 * (depth - truth)
    middle = np.nanmedian(difference, axis=(1, 2), keepdims=True)
    return float(np.nanmean(np.abs(difference))), float(np.nanmean(np.abs(difference - middle)))


def joint_errors(poses: list[BodyPose], sequence: Sequence, settings: dict) -> tuple[float, float]:
    """Of the joints' z in cm: mean absolute error, and jitter (rms of the error's change)."""
    options = {k: v for k, v in settings.items() if k != "blur"}
    z = body_motion(poses, fps=FPS, **options).metres[..., 2]
    error = 100 * (z - joints_from_blazepose(sequence.world)[..., 2])
    return float(np.abs(error).mean()), float(np.sqrt(np.mean(np.diff(error, axis=0) ** 2)))


def exact_poses(sequence: Sequence) -> list[BodyPose]:
    """The joints as they are, all seen: what is left is the error of the body's shape."""
    return observe(sequence, 0, image_noise=0, world_noise=0, drift=0)


def measure(
    sequence: Sequence, see: Callable[[int], list[BodyPose]], settings: dict
) -> tuple[float, ...]:
    """Depth errors, joint errors and CPU milliseconds a frame, the mean over `SEEDS`."""
    rows = []
    for seed in SEEDS:
        poses = see(seed)
        started = time.process_time()  # not the wall clock: neighbours do not count
        depth = lite_depth(poses, sequence.mask, fps=FPS, **settings)
        spent = 1e3 * (time.process_time() - started) / len(poses)
        errors = depth_errors(depth, sequence.depth)
        rows.append((*errors, *joint_errors(poses, sequence, settings), spent))
    return tuple(np.mean(rows, axis=0))


def flat(sequence: Sequence) -> tuple[float, ...]:
    """The whole person as deep as the hips."""
    zero = np.where(np.isnan(sequence.depth), np.nan, 0.0)
    return (*depth_errors(zero, sequence.depth), np.nan, np.nan, np.nan)


def print_table(rows: dict[str, tuple[float, ...]]) -> None:
    heads = ("depth cm", "aligned", "joint z", "jitter", "CPU ms")
    print(f"{'':26}" + "".join(f"{head:>10}" for head in heads))
    for name, row in rows.items():
        cells = ("" if np.isnan(cell) else f"{cell:.2f}" for cell in row)
        print(f"{name:26}" + "".join(f"{cell:>10}" for cell in cells))


def picture(sequences: list[Sequence]) -> np.ndarray:
    """Truth above, lite depth below, one column a scene; near is red, far is blue."""
    columns = []
    for sequence in sequences:
        t = len(sequence.depth) // 2
        depth = lite_depth(observe(sequence, 0), sequence.mask, fps=FPS)
        near, far = depth_range(sequence.depth)
        tiles = []
        for frame in (sequence.depth[t], depth[t]):
            normal, _ = normalize_depth(frame, near, far)
            tile = cv2.applyColorMap(np.uint8(255 * (1 - normal)), cv2.COLORMAP_TURBO)
            tile[np.isnan(frame)] = 255
            tiles.append(tile)
        columns.append(np.vstack(tiles))
    return np.hstack(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", action="store_true", help="also print each scene by itself")
    parser.add_argument("--picture", help="write truth and lite depth of every scene to this file")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    renderer = Renderer()
    sequences = [renderer.render(scene) for scene in SCENES]

    rows: dict[str, list[tuple[float, ...]]] = {"flat at the hips": [flat(s) for s in sequences]}
    for name, settings in VARIANTS.items():
        rows[name] = [measure(s, lambda seed, s=s: observe(s, seed), settings) for s in sequences]
    rows["exact joints"] = [
        measure(s, lambda _, s=s: exact_poses(s), {"cutoff_hz": None}) for s in sequences
    ]
    print(f"{len(SCENES)} scenes of 16 frames, mean absolute errors; {len(SEEDS)} draws of noise")
    print_table({name: tuple(np.mean(row, axis=0)) for name, row in rows.items()})
    if options.scenes:
        print()
        print_table({s.name: rows["lite depth"][i] for i, s in enumerate(sequences)})
    if options.picture:
        cv2.imwrite(options.picture, picture(sequences))


if __name__ == "__main__":
    main()
