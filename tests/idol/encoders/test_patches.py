from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from idol.config.checks import ConfigError
from idol.config.patches import channels_of, patch_of
from idol.encoders import PatchCodec


@pytest.mark.parametrize("patch", [4, 8])
def test_nothing_is_lost(patch: int) -> None:
    pixels = torch.rand(2, 3, 16, 24) * 2 - 1
    codec = PatchCodec(patch)
    latents = codec.encode(pixels)
    assert latents.shape == (2, 3 * patch**2, 16 // patch, 24 // patch)
    assert codec.channels == 3 * patch**2
    torch.testing.assert_close(codec.decode(latents), pixels, rtol=0, atol=3e-6)
    # Errors and noise are as large as in pixels, or in those of the picture at half its size.
    torch.testing.assert_close(latents.square().sum() * (patch / 4) ** 2, pixels.square().sum())


def test_large_patches_begin_with_those_of_the_picture_at_half_its_size() -> None:
    """But for the loss of a wave between two pixels, which both transforms know."""
    small = torch.rand(1, 3, 8, 12) * 2 - 1
    large = F.interpolate(small, scale_factor=2, mode="nearest")
    loss = torch.cos(torch.pi * torch.arange(4) / 16)
    found = PatchCodec(8).encode(large)[:, :48].unflatten(1, (3, 4, 4))
    expected = PatchCodec(4).encode(small).unflatten(1, (3, 4, 4))
    expected *= loss[:, None, None, None] * loss[:, None, None]
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


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


@pytest.mark.parametrize("patch", [4, 8])
def test_no_latent_of_an_image_exceeds_the_bound(patch: int) -> None:
    codec = PatchCodec(patch)
    pixels = torch.randint(0, 2, (4, 3, 64, 64)) * 2.0 - 1
    assert codec.encode(pixels).abs().max() <= PatchCodec.bound
    assert codec.encode(torch.ones(1, 3, 8, 8)).max() == pytest.approx(PatchCodec.bound)


def test_what_is_saved_is_what_comes_back(tmp_path: Path) -> None:
    """Folders of before larger patches say nothing of them."""
    PatchCodec(8).save_pretrained(tmp_path)
    assert PatchCodec.from_pretrained(tmp_path).factor == 8
    told = json.loads((tmp_path / "config.json").read_bytes())
    del told["patch"]
    (tmp_path / "config.json").write_text(json.dumps(told))
    assert PatchCodec.from_pretrained(tmp_path).factor == 4


def test_there_are_patches_of_two_sizes() -> None:
    with pytest.raises(ValueError, match="4 or 8 pixels, not 6"):
        PatchCodec(6)
    assert [patch_of(channels_of(patch)) for patch in (4, 8)] == [4, 8]
    with pytest.raises(ConfigError, match=r"60 channels .* 48 channels .* 192 channels"):
        patch_of(60)


def test_images_must_have_whole_patches() -> None:
    with pytest.raises(ValueError, match="4x4 patches"):
        PatchCodec().encode(torch.zeros(1, 3, 8, 10))
