"""Preset tiny through `idol-train`, all three stages, on four clips: it learns them by heart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from idol.config import defaults
from idol.config.model import StageName
from idol.data.datasets import open_datasets
from idol.data.preparation import LatentBatch, Preparation
from idol.diffusion.sampling import sample
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.encoders import LatentCodec
from idol.saved import Trained, load_trained
from idol.train.cli import main
from idol.train.initialize import build
from idol.train.validation import validate
from shards.sample.clip import Clip
from tests.idol.train.micro import configured, write_shards

SIZE, FRAMES = 32, 2
STEPS: dict[StageName, int] = {"pretrain": 60, "image": 320, "video": 160}
COLOURS = [(230, 30, 30), (30, 220, 30), (30, 30, 230), (230, 220, 30)]
CORNERS, MOVES = [(4, 4), (16, 6), (6, 16), (16, 16)], [(4, 0), (0, 4), (-2, 2), (-4, -2)]


def drawn(number: int) -> Clip:
    """A square of a colour of its own goes its own way over its own place."""
    places = np.random.default_rng(number).integers(0, 256, (2, 2, 3)).astype(np.uint8)
    place = cv2.resize(places, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    rgb = np.stack([place] * FRAMES)
    mask, pose = np.zeros(rgb.shape[:3], np.uint8), np.zeros_like(rgb)
    for frame in range(FRAMES):
        top, left = np.add(CORNERS[number], np.multiply(frame, MOVES[number]))
        rgb[frame, top : top + 12, left : left + 12] = COLOURS[number]
        mask[frame, top : top + 12, left : left + 12] = 255
        pose[frame, top + 4 : top + 8, left + 4 : left + 8] = 255
    return Clip(
        key=f"videos-drawn-{number}",
        rgb=rgb,
        mask=mask,
        pose=pose,
        depth_person=np.where(mask > 0, 0.3, 1).astype(np.float32),
        reference=rgb[0],
        reference_mask=mask[0],
        background=rgb[0],
        background_mask=mask[0],
        info={"frame_indices": list(range(FRAMES)), "size": [SIZE, SIZE]},
    )


def the_four(shards: Path, trained: Trained) -> LatentBatch:
    config = configured("video", "tiny", shards, Path("none"), size=SIZE, frames=FRAMES)
    [clips] = open_datasets(config).first_clips("train", 4)
    prepare = Preparation(trained.codec, trained.image_encoder, SIZE)
    with torch.no_grad():
        return prepare(clips, torch.device("cpu"))


def distances(trained: Trained, batch: LatentBatch) -> torch.Tensor:
    """Mean squared distances (M, 4, 4) of what is generated for each clip to every real clip."""
    real = batch.latents_BMFCHW
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(1))
    codec: LatentCodec = trained.codec
    scheduler = ddim_scheduler(codec.bound)
    generated = sample(
        trained.denoiser, batch.conditions, noise, scheduler=scheduler, guidance=1, steps=25
    )
    return (generated[:, None] - real[None]).square().flatten(3).mean(dim=3).movedim(2, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_clips_are_learnt_by_heart(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", [drawn(number) for number in range(4)])
    before: list[str] = []
    for stage, steps in STEPS.items():
        options = ["--stage", stage, "--preset", "tiny", "--shards", str(shards), *before]
        options += ["--size", str(SIZE), "--frames", str(FRAMES), "--max-frame-step", "1"]
        options += ["--steps", str(steps), "--batch-size", "4", "--foreground-dropout", "0"]
        options += ["--cpu", "--workers", "0", "--no-tensorboard", "--no-progress"]
        options += ["--sample-every", "0", "--output", str(tmp_path / stage)]
        assert main(options) == 0
        before = ["--init-from", str(tmp_path / stage)]

    fresh_config = defaults("video", "tiny", shards=[str(shards)], output=tmp_path / "none")
    fresh = build(fresh_config)
    trained, _ = load_trained(tmp_path / "video")
    losses = [
        validate(model.denoiser, [the_four(shards, model)], noise_schedule())["denoise"]
        for model in (fresh, trained)
    ]
    assert losses[0] > 10 * losses[1]

    trained.denoiser.eval()
    for distances_44 in distances(trained, the_four(shards, trained)):
        assert distances_44.argmin(dim=1).tolist() == [0, 1, 2, 3]
        own, others = distances_44.diag(), distances_44.flatten()[1:].view(3, 5)[:, :-1]
        assert own.mean() < 0.3 * others.mean()
