from __future__ import annotations

import pytest
import torch

from idol.encoders import PatchCodec


def test_nothing_is_lost() -> None:
    pixels = torch.rand(2, 3, 8, 12) * 2 - 1
    codec = PatchCodec()
    latents = codec.encode(pixels)
    assert latents.shape == (2, codec.channels, 2, 3)
    assert torch.equal(codec.decode(latents), pixels)


def test_a_latent_is_its_patch() -> None:
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[..., 4:, :4] = 1
    latents = PatchCodec().encode(pixels)
    assert latents[0, :, 1, 0].eq(1).all()
    assert latents.sum() == 48


def test_images_must_have_whole_patches() -> None:
    with pytest.raises(ValueError, match="4x4 patches"):
        PatchCodec().encode(torch.zeros(1, 3, 8, 10))
