"""How much of the background `--keep-background` keeps, and whether it takes any of the person.

    python bench/keep_background.py --shards DATASET [--model FOLDER] [--json FILE]

DATASET is of rendered people, of whom the true mask and depth are known (idol-prep build --recipe
people). Their depth pictures are given noise: of each pixel, and of each 4x4 patch as a model of
patches makes it; their frames are the true ones. A model's own depth pictures and frames are
measured against the same truth: a person that it draws elsewhere counts as lost too.

    kept       of the true background, as far as it is known (outside the hole)
    lost       pixels of the person (half covered or more) that the background replaces
    PSNR       of frames against the truth where the true background is known, without and with
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from idol.errors import IdolError
from idol.generate.generator import ClipGenerator, Generated, conditions_of
from idol.generate.keep import keep_background
from idol.pretrained import PEOPLE64
from shards import Clip, open_dataset
from shards.command import run
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.sample.colormap import depth_to_hot

# Standard deviations, of pixels and of patches, in a picture's range of 0 to 1.
NOISE = ((0.0, 0.0), (0.05, 0.05), (0.1, 0.0), (0.1, 0.1), (0.2, 0.0))
PATCH = 4


def noisy(clip: Clip, pixel: float, patch: float) -> Generated:
    """The clip's own depth with noise, and its frames."""
    assert clip.depth_person is not None
    pictures = depth_to_hot(clip.depth_person).astype(np.float64) / 255
    random = np.random.default_rng(0)
    pictures += random.normal(0, pixel, pictures.shape)
    frames, height, width, _ = pictures.shape
    patches = random.normal(0, patch, (frames, height // PATCH, width // PATCH, 3))
    pictures += patches.repeat(PATCH, 1).repeat(PATCH, 2)
    return Generated(
        frames=clip.rgb,
        depth=clip.depth_person,
        confidence=np.ones_like(clip.depth_person),
        depth_pictures=(pictures.clip(0, 1) * 255 + 0.5).astype(np.uint8),
        depth_kind="person",
        fps=25.0,
    )


def measure(clips: Iterable[Clip], generate: Callable[[Clip], Generated]) -> dict:
    """Sums over all clips, then fractions."""
    background = kept_background = person = lost = 0
    errors = np.zeros(2)
    for clip in clips:
        assert clip.mask is not None
        assert clip.background is not None
        assert clip.background_mask is not None
        before = generate(clip)
        after, kept = keep_background(before, clip.background, clip.background_mask)
        there = (clip.mask == 0) & (clip.background_mask == 0)
        background += np.count_nonzero(there)
        kept_background += np.count_nonzero(kept & there)
        person += np.count_nonzero(clip.mask > 127)
        lost += np.count_nonzero(kept & (clip.mask > 127))
        for i, frames in enumerate((before.frames, after.frames)):
            difference = frames[there].astype(np.float64) - clip.rgb[there]
            errors[i] += np.square(difference).sum()
    without, with_it = (
        float(10 * np.log10(255**2 * 3 * background / error)) if error else None for error in errors
    )
    return {
        "kept": float(kept_background / background),
        "person": int(person),
        "lost": int(lost),
        "psnr_without": without,
        "psnr_with": with_it,
    }


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", required=True, help="dataset of rendered people")
    parser.add_argument("--model", type=Path, default=PEOPLE64, help="default: people64")
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip, at most")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    limit_threads()
    clips = [shorter(clip, options.frames) for clip in open_dataset(options.shards).clips()]
    rows = {
        f"noise {pixel:g}, patches {patch:g}": measure(
            clips, lambda clip, a=pixel, b=patch: noisy(clip, a, b)
        )
        for pixel, patch in NOISE
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = ClipGenerator.from_folder(options.model, device=device, steps=options.steps)
    generator.pipeline.set_progress_bar_config(disable=True)
    rows["the model's"] = measure(clips, lambda clip: generator(conditions_of(clip), 0))
    table = Table(title=f"{len(clips)} clips, {clips[0].rgb.shape[1]} pixels")
    for head in ("depth pictures", "kept", "lost", "of", "PSNR without", "with"):
        table.add_column(head, justify="right")
    for name, row in rows.items():
        psnr = ("" if row[p] is None else f"{row[p]:.1f}" for p in ("psnr_without", "psnr_with"))
        table.add_row(name, f"{row['kept']:.3f}", f"{row['lost']:,}", f"{row['person']:,}", *psnr)
    Console(width=100).print(table)
    if options.json:
        options.json.write_text(
            json.dumps({"shards": options.shards, "rows": rows}, indent=2) + "\n"
        )
    return 0


def shorter(clip: Clip, frames: int) -> Clip:
    """The clip's first frames."""
    images = ("reference", "reference_mask", "background", "background_mask")
    arrays = {n: a if n in images else a[:frames] for n, a in clip.arrays.items()}
    return Clip.of(clip.key, arrays, clip.info)


if __name__ == "__main__":
    sys.exit(run("keep_background.py", main, errors=(IdolError, ShardsError, OSError)))
