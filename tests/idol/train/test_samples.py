"""Sample sheets show what they say they show."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions
from idol.diffusion.sampling import predict
from idol.diffusion.schedule import ddim_scheduler
from idol.encoders import PatchCodec, VAECodec
from idol.encoders.joint import joined
from idol.model import DEPTH, VIDEO, DualModalDenoiser
from idol.train import samples
from idol.train.samples import _GAP, _HEAD, _LABELS, _MARGIN, _TILE, sample_sheets
from shards.sample.colormap import depth_to_hot
from shards.stream import ClipBatch


class Codec(PatchCodec):
    """Latents of 4 channels: the red of 2x2 patches, in grey."""

    factor = 2
    channels = 4

    def decode(self, latents_NCHW: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(latents_NCHW, 2).expand(-1, 3, -1, -1)


@pytest.fixture
def clips() -> ClipBatch:
    """Two clips of two frames, 16x16 pixels, every image of one colour."""
    values = iter(range(10, 250, 4))

    def images(*shape: int) -> torch.Tensor:
        colours = torch.tensor([next(values) for _ in range(int(np.prod(shape)))])
        return colours.reshape(*shape, 1, 1, 1).expand(*shape, 16, 16, 3).to(torch.uint8)

    mask = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    return ClipBatch(
        key=("one", "two"),
        positions=(0, 1),
        rgb=images(2, 2),
        depth=images(2, 2),
        pose=images(2, 2),
        foreground=images(2),
        foreground_mask=mask,
        background=images(2),
        background_mask=mask,
        frame_indices=torch.zeros(2, 2, dtype=torch.int64),
        consumed=2,
    )


@pytest.fixture
def batch() -> LatentBatch:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return LatentBatch(
        ("one", "two"),
        draw(2, 2, 2, 4, 8, 8),
        Conditions(draw(2, 5, 20), draw(2, 4, 8, 8), draw(2, 2, 4, 8, 8)),
        (VIDEO, DEPTH),
    )


def sheets(
    model: Any, batch: LatentBatch, clips: ClipBatch, seed: int = 0, codec: Any = None
) -> dict[str, Any]:
    return sample_sheets(
        model,
        batch,
        clips,
        codec or Codec(),
        depth="person",
        scheduler=ddim_scheduler(PatchCodec.bound),
        steps=2,
        guidance=1.5,
        seed=seed,
    )


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    y = _MARGIN + _HEAD + row * (_TILE + _GAP)
    x = _MARGIN + _LABELS + column * (_TILE + _GAP)
    return sheet[y : y + _TILE, x : x + _TILE]


def test_rows_of_a_sheet(trained: DualModalDenoiser, batch: LatentBatch, clips: ClipBatch) -> None:
    images = sheets(trained, batch, clips)
    assert list(images) == ["one", "two"]
    for clip, sheet in enumerate(images.values()):
        assert sheet.dtype == np.uint8
        assert sheet.shape[0] == 2 * _MARGIN + _HEAD + 7 * (_TILE + _GAP) - _GAP
        for row, real in ((0, clips.rgb), (2, clips.depth), (4, clips.pose)):
            for frame in range(2):
                assert (tile(sheet, row, frame) == int(real[clip, frame, 0, 0, 0])).all()
        for row in (1, 3):
            assert tile(sheet, row, 0).std() > 1
        # Two frames have one motion; beside it the page is empty.
        assert tile(sheet, 5, 0).max() == 255
        assert tile(sheet, 5, 1).max() < 64


def test_motion_is_that_of_the_clip_and_not_of_its_noise(
    trained: DualModalDenoiser,
    batch: LatentBatch,
    clips: ClipBatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Tensor] = []

    def noted(denoiser: Any, noisy: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        seen.append(noisy)
        return predict(denoiser, noisy, *arguments, **options)

    monkeypatch.setattr(samples, "predict", noted)
    still = batch.latents_BMFCHW[:, :, :1].expand_as(batch.latents_BMFCHW)
    sheets(trained, dataclasses.replace(batch, latents_BMFCHW=still), clips)
    [noisy] = seen
    assert not torch.allclose(noisy, still, atol=0.1)
    assert torch.equal(noisy[:, :, 0], noisy[:, :, 1])
    assert not torch.equal(noisy[:, 0], noisy[:, 1])


def test_a_sheet_is_a_function_of_seed_and_key(
    trained: DualModalDenoiser, batch: LatentBatch, clips: ClipBatch
) -> None:
    trained.train()
    torch.manual_seed(5)
    first = sheets(trained, batch, clips)
    torch.manual_seed(6)
    second = sheets(trained, batch, clips)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert not np.array_equal(first["one"], sheets(trained, batch, clips, seed=1)["one"])
    assert all(module.training for module in trained.modules())


def test_pretraining_has_video_alone(
    trained: DualModalDenoiser, batch: LatentBatch, clips: ClipBatch
) -> None:
    one = dataclasses.replace(
        batch,
        latents_BMFCHW=batch.latents_BMFCHW[:, :1, :1],
        conditions=dataclasses.replace(batch.conditions, pose_BFCHW=None),
        modalities=(VIDEO,),
    )
    plain = dataclasses.replace(clips, rgb=clips.rgb[:, :1], depth=None, pose=None)
    sheet = sheets(trained, one, plain)["two"]
    assert sheet.shape[0] == 2 * _MARGIN + _HEAD + 2 * (_TILE + _GAP) - _GAP
    assert (tile(sheet, 0, 0) == int(clips.rgb[1, 0, 0, 0, 0])).all()


def test_depth_that_a_codec_holds_beside_colours_has_the_colours_of_the_true_one(
    trained: DualModalDenoiser,
    batch: LatentBatch,
    clips: ClipBatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Joint(VAECodec):
        """Its latents are the pictures themselves, colour and depth."""

        def __init__(self) -> None:
            self.holds_depth = True

        def decode(self, latents_NCHW: torch.Tensor) -> torch.Tensor:
            return latents_NCHW

    slope = np.linspace(0.1, 1, 16, dtype=np.float32)
    coloured = torch.from_numpy(depth_to_hot(np.broadcast_to(slope, (2, 2, 16, 16))))
    clips = dataclasses.replace(clips, depth=coloured)
    pictures = [
        images.flatten(0, 1).permute(0, 3, 1, 2) / 127.5 - 1 for images in (clips.rgb, coloured)
    ]
    exact = joined(*pictures).unflatten(0, (2, 1, 2))
    monkeypatch.setattr(samples, "sample", lambda *_, **__: exact)
    one = dataclasses.replace(
        batch, latents_BMFCHW=batch.latents_BMFCHW[:, :1, :1], modalities=(VIDEO,)
    )
    sheet = sheets(trained, one, clips, codec=Joint())["two"].astype(int)
    for frame in range(2):
        assert np.array_equal(tile(sheet, 0, frame), tile(sheet, 1, frame))
        true, made = tile(sheet, 2, frame), tile(sheet, 3, frame)
        assert np.ptp(true[..., 0] - true[..., 2]) > 100  # not grey
        assert np.abs(true - made).max() <= 16  # this `hot` begins at black, not a little above
