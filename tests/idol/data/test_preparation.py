"""Clips become latents as the method says."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from idol.data.preparation import Preparation, scale_images
from idol.diffusion.noise import Randomness
from idol.encoders import PatchCodec
from idol.model import DEPTH, VIDEO
from shards.stream import ClipBatch

CPU = torch.device("cpu")


class Posterior(PatchCodec):
    """Patches that show the noise they are given."""

    stochastic = True

    def encode(self, pixels_NCHW: Tensor, noise_NCHW: Tensor | None = None) -> Tensor:
        latents = super().encode(pixels_NCHW)
        return latents if noise_NCHW is None else latents + noise_NCHW


def tokens(pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
    return torch.ones(len(pixels_BHWC), 3, 2)


def batch(clips: int = 3, frames: int = 2, size: int = 8) -> ClipBatch:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    per_frame = (clips, frames, size, size)
    return ClipBatch(
        key=tuple(f"clip-{i}" for i in range(clips)),
        positions=tuple(range(clips)),
        rgb=draw(*per_frame, 3),
        depth=draw(*per_frame, 3),
        pose=draw(*per_frame, 3),
        foreground=draw(clips, size, size, 3),
        foreground_mask=draw(clips, size, size),
        background=draw(clips, size, size, 3),
        background_mask=draw(clips, size, size),
        frame_indices=torch.zeros(clips, frames, dtype=torch.long),
        consumed=clips,
    )


def images_of(latents: Tensor) -> Tensor:
    """Latents (..., 48, h, w) back to what a clip holds: (..., H, W, 3) in 0 to 255."""
    pixels = PatchCodec().decode(latents.flatten(0, -4)).permute(0, 2, 3, 1)
    return ((pixels + 1) * 127.5).unflatten(0, latents.shape[:-3])


def test_every_image_finds_its_place() -> None:
    clips = batch()
    latents = Preparation(PatchCodec(), tokens, size=8)(clips, CPU)
    assert latents.modalities == (VIDEO, DEPTH)
    video, depth = latents.latents_BMFCHW.unbind(1)
    conditions = latents.conditions
    assert conditions.pose_BFCHW is not None
    for found, expected in (
        (video, clips.rgb),
        (depth, clips.depth),
        (conditions.pose_BFCHW, clips.pose),
        (conditions.background_BCHW, clips.background),
    ):
        torch.testing.assert_close(images_of(found), expected.float(), rtol=0, atol=1e-3)


def test_pretraining_is_video_alone() -> None:
    clips = dataclasses.replace(batch(frames=1), depth=None, pose=None)
    latents = Preparation(PatchCodec(), tokens, size=8)(clips, CPU)
    assert latents.modalities == (VIDEO,)
    assert latents.latents_BMFCHW.shape == (3, 1, 1, 48, 2, 2)
    assert latents.conditions.pose_BFCHW is None


def test_posteriors_are_sampled_by_place_and_purpose() -> None:
    clips, random = batch(), Randomness(0)
    prepare = Preparation(Posterior(), tokens, size=8)
    modes = prepare(clips, CPU)
    assert torch.equal(modes.latents_BMFCHW, prepare(clips, CPU).latents_BMFCHW)
    drawn = prepare(clips, CPU, random=random)
    noise = drawn.latents_BMFCHW - modes.latents_BMFCHW
    assert len(torch.unique(noise.flatten(0, 2).flatten(1), dim=0)) == 3 * 2 * 2
    assert drawn.conditions.pose_BFCHW is not None
    one = clips.map(lambda array: array[1:2])
    one = dataclasses.replace(one, key=clips.key[1:2], positions=clips.positions[1:2])
    alone = prepare(one, CPU, random=random)
    # Noise of another place would be off by about 1; products of a batch differ in their last bits
    # on some processors.
    torch.testing.assert_close(alone.latents_BMFCHW[0], drawn.latents_BMFCHW[1], rtol=0, atol=1e-5)


def test_foregrounds_are_dropped_sample_by_sample() -> None:
    random = Randomness(1)
    prepare = Preparation(PatchCodec(), tokens, size=8)
    clips = dataclasses.replace(batch(), positions=(20, 21, 22))
    conditions = prepare(clips, CPU, random=random, dropout=0.5).conditions
    dropped = random.dropped(clips.positions, 0.5)
    assert 0 < dropped.sum() < 3
    assert (
        conditions.encoded_foreground_BTD.flatten(1).eq(0).all(dim=1).tolist() == dropped.tolist()
    )


def test_what_is_posed_becomes_the_place_of_each_frame() -> None:
    clips = batch()
    posed = clips.pose.flip(1)
    clips = dataclasses.replace(clips, more={"posed": posed}, positions=(32, 33, 34))
    prepare, random = Preparation(PatchCodec(), tokens, size=8), Randomness(1)
    conditions = prepare(clips, CPU).conditions
    torch.testing.assert_close(images_of(conditions.place), posed.float(), rtol=0, atol=1e-3)
    background = conditions.background_BCHW[:, None].expand_as(conditions.place)

    # Guidance is of tokens, and leaves the place as it is; in some clips' nobody may be posed.
    dropped = random.dropped(clips.positions, 0.5)
    lost = random.dropped(clips.positions, 0.5, purpose="posed-dropout")
    assert dropped.tolist() != lost.tolist()
    assert 0 < lost.sum() < 3
    without = prepare(clips, CPU, random=random, dropout=0.5).conditions
    assert torch.equal(without.place, conditions.place)
    bare = prepare(clips, CPU, random=random, posed_dropout=0.5).conditions
    for i in range(3):
        expected = background if lost[i] else conditions.place
        assert torch.equal(bare.place[i], expected[i])
        assert bare.encoded_foreground_BTD[i].any()
    both = conditions.with_unconditional()
    assert torch.equal(both.place, torch.cat([conditions.place] * 2))
    nobody = conditions.without_posed()
    assert torch.equal(nobody.place, background)
    windows = conditions.of_windows([slice(0, 1), slice(1, 2)])
    assert torch.equal(windows.place, torch.cat([conditions.place[:, :1], conditions.place[:, 1:]]))
    assert torch.equal(windows.background_BCHW, torch.cat([conditions.background_BCHW] * 2))


def test_the_depth_of_who_is_posed_is_the_place_of_the_other_stream() -> None:
    clips = batch()
    posed, depth = clips.pose.flip(1), clips.pose.flip(2)
    clips = dataclasses.replace(
        clips, more={"posed": posed, "posed_depth": depth}, positions=(32, 33, 34)
    )
    prepare, random = Preparation(PatchCodec(), tokens, size=8), Randomness(1)
    conditions = prepare(clips, CPU).conditions
    place = conditions.place
    for stream, images in enumerate((posed, depth)):
        torch.testing.assert_close(images_of(place[:, stream]), images.float(), rtol=0, atol=1e-3)
    lost = random.dropped(clips.positions, 0.5, purpose="posed-dropout")
    assert 0 < lost.sum() < 3
    bare = prepare(clips, CPU, random=random, posed_dropout=0.5).conditions
    white = torch.full_like(depth, 255).float()
    for i in range(3):
        assert torch.equal(bare.place[i, 0], bare.posed_BFCHW[i])
        found = images_of(bare.place[:, 1])[i]
        expected = white[i] if lost[i] else depth[i].float()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    assert torch.equal(conditions.with_unconditional().place, torch.cat([place] * 2))
    windows = conditions.of_windows([slice(0, 1), slice(1, 2)])
    assert torch.equal(windows.place, torch.cat([place[:, :, :1], place[:, :, 1:]]))


@pytest.mark.parametrize(("side", "expected"), [(4, [[50.0, 150.0], [200.0, 0.0]])])
def test_smaller_images_are_averages(side: int, expected: list[list[float]]) -> None:
    image = torch.tensor(expected).repeat_interleave(side, 0).repeat_interleave(side, 1)
    image[0, 0], image[0, 1] = 40, 60
    scaled = scale_images(image.to(torch.uint8)[None, :, :, None].expand(-1, -1, -1, 3), 2)
    torch.testing.assert_close((scaled[0, 0] + 1) * 127.5, torch.tensor(expected))
