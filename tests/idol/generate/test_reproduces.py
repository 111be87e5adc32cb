"""A model that knows one clip by heart gives it back, through the whole command."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from idol.config.model import StageName
from idol.generate.cli import main as generate
from idol.generate.watermark import detect
from idol.train.cli import main as train
from shards.sample.clip import Clip
from shards.sample.colormap import grey_to_depth
from shards.sample.images import decode_image
from tests.idol.generate.pictures import pictures
from tests.idol.train.micro import write_shards

SIZE, FRAMES = 64, 4
STEPS: dict[StageName, int] = {"pretrain": 20, "image": 150, "video": 60}


def drawn() -> Clip:
    """A figure in a red shirt and blue trousers walks to the right, before a place with texture:
    flat colours hold the mark weakly (docs/watermark.md)."""
    [place] = pictures(1, SIZE)
    rgb = np.stack([place] * FRAMES)
    mask, pose = np.zeros(rgb.shape[:3], np.uint8), np.zeros_like(rgb)
    depth = np.ones(mask.shape, np.float32)
    for t in range(FRAMES):
        x = 20 + 4 * t
        body = {
            (x - 6, 20, x + 6, 38): (210, 50, 50),
            (x - 6, 38, x - 1, 58): (50, 60, 190),
            (x + 1, 38, x + 6, 58): (50, 60, 190),
            (x - 4, 10, x + 4, 20): (220, 180, 150),
        }
        for (x0, y0, x1, y1), colour in body.items():
            rgb[t, y0:y1, x0:x1] = colour
            mask[t, y0:y1, x0:x1] = 255
            depth[t, y0:y1, x0:x1] = 0.2 if y0 < 38 else 0.5
        cv2.line(pose[t], (x, 20), (x, 38), (255, 85, 0), 2)
        cv2.line(pose[t], (x, 38), (x - 3, 57), (85, 255, 0), 2)
        cv2.line(pose[t], (x, 38), (x + 3, 57), (0, 85, 255), 2)
    return Clip(
        key="videos-walks-0",
        rgb=rgb,
        mask=mask,
        pose=pose,
        depth_person=depth,
        reference=rgb[0],
        reference_mask=mask[0],
        background=rgb[0],
        background_mask=mask[0],
        info={"frame_indices": list(range(FRAMES)), "size": [SIZE, SIZE], "fps": 12},
    )


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_clip_comes_back_with_its_depth_in_all_files(tmp_path: Path) -> None:
    clip = drawn()
    shards = write_shards(tmp_path / "shards", [clip])
    before: list[str] = []
    for stage, steps in STEPS.items():
        options = ["--stage", stage, "--preset", "tiny", "--shards", str(shards), *before]
        options += ["--size", str(SIZE), "--frames", str(FRAMES), "--max-frame-step", "1"]
        options += ["--steps", str(steps), "--batch-size", "4", "--foreground-dropout", "0"]
        options += ["--cpu", "--workers", "0", "--no-tensorboard", "--no-progress"]
        options += ["--sample-every", "0", "--output", str(tmp_path / stage)]
        assert train(options) == 0
        before = ["--init-from", str(tmp_path / stage)]

    named, out = f"{shards}::{clip.key}", tmp_path / "out"
    command = [named, "--driving", named, "--model", str(tmp_path / "video" / "model")]
    command += ["--out", str(out), "--steps", "20", "--frame", "whole", "--retarget", "none"]
    assert generate(command) == 0

    with av.open(str(out / "video.mp4")) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    assert frames.shape == (FRAMES, 256, 256, 3)
    assert detect(frames[:2]).marked
    small = np.stack([cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for f in frames])
    person = clip.mask > 0
    assert psnr(small, clip.rgb) > 20
    # Of other frames it is further away: the motion is that of the clip.
    assert psnr(small[person], clip.rgb[person]) > psnr(small[person], clip.rgb[::-1][person]) + 3

    files = sorted((out / "depth").glob("*.png"))
    depth = np.stack([grey_to_depth(decode_image(file.read_bytes())) for file in files])
    assert np.sqrt(np.mean((depth - clip.depth_person) ** 2)) < 0.1
    report = json.loads((out / "report.json").read_bytes())
    assert {"seam", "drift", "background_psnr", "files"} <= report.keys()
