from __future__ import annotations

import pytest
import torch

from idol.encoders import PatchCodec


def test_nothing_is_lost() -> None:
    pixels = torch.rand(2, 3, 8, 12) * 2 - 1
    codec = PatchCodec()
    latents = codec.encode(pixels)
    assert latents.shape == (2, codec.channels, 2, 3)
    torch.testing.assert_close(codec.decode(latents), pixels, rtol=0, atol=2e-6)
    # Errors and noise are as large as in pixels.
    torch.testing.assert_close(latents.square().sum(), pixels.square().sum())


def test_a_latent_is_the_cosine_transform_of_its_patch() -> None:
    """Lightness first, then red minus blue and green against both; the mean leads each."""
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[..., 4:, :4] = 1
    latents = PatchCodec().encode(pixels)
    assert latents[0, 0, 1, 0] == pytest.approx(48**0.5)
    latents[0, 0, 1, 0] = 0
    assert latents.abs().max() < 1e-6
    grey_wave = torch.cos(torch.pi * (torch.arange(4) + 0.5) / 4).expand(1, 3, 4, 4)
    found = PatchCodec().encode(grey_wave)[0, :, 0, 0]
    assert found.abs().argmax() == 1  # one half of a wave, along the rows
    blue = PatchCodec().encode(torch.tensor([0.0, 0, 1])[:, None, None].expand(1, 3, 4, 4))
    assert blue.flatten().abs().gt(1e-6).nonzero().flatten().tolist() == [0, 16, 32]


def test_no_latent_of_an_image_exceeds_the_bound() -> None:
    pixels = torch.randint(0, 2, (4, 3, 64, 64)) * 2.0 - 1
    assert PatchCodec().encode(pixels).abs().max() <= PatchCodec.bound
    assert PatchCodec().encode(torch.ones(1, 3, 4, 4)).max() == pytest.approx(PatchCodec.bound)


def test_images_must_have_whole_patches() -> None:
    with pytest.raises(ValueError, match="4x4 patches"):
        PatchCodec().encode(torch.zeros(1, 3, 8, 10))
