from __future__ import annotations

import torch

from idol.config import preset
from idol.config.model import PresetName
from idol.encoders import TinyEncoder, foreground_tokens


def test_it_sees_the_person_alone() -> None:
    torch.manual_seed(0)
    encoder = TinyEncoder(32)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    mask = torch.zeros((2, 64, 64), dtype=torch.uint8)
    mask[:, 16:48, 16:48] = 255
    tokens = encoder(pixels, mask)
    assert tokens.shape == (2, 17, 32)
    other_place = torch.where(mask[..., None] > 0, pixels, 255 - pixels)
    assert torch.equal(encoder(other_place, mask), tokens)
    other_person = torch.where(mask[..., None] > 0, 255 - pixels, pixels)
    assert not torch.allclose(encoder(other_person, mask), tokens)


def test_it_takes_images_of_any_size_and_learns() -> None:
    encoder = TinyEncoder(8)
    pixels = torch.randint(0, 256, (1, 20, 30, 3), dtype=torch.uint8)
    encoder(pixels, torch.full((1, 20, 30), 255, dtype=torch.uint8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_smaller_patches_are_more_tokens() -> None:
    image = torch.full((1, 64, 64, 3), 9, dtype=torch.uint8), torch.full((1, 64, 64), 255).byte()
    for patch, tokens in ((64, 2), (16, 17), (8, 65), (4, 257)):
        assert TinyEncoder.tokens(patch) == tokens
        encoder = TinyEncoder(8, patch=patch, depth=1)
        assert encoder(*image).shape == (1, tokens, 8)
        assert len(encoder.layers) == 1


def test_presets_have_the_tokens_of_their_own_encoders() -> None:
    """64x64 pixels in patches of 8x8, or 224x224 in patches of 14x14; and one of the class."""
    presets: dict[PresetName, int] = {"tiny": 8 * 8 + 1, "sd14": 16 * 16 + 1}
    for name, tokens in presets.items():
        assert foreground_tokens(name, preset(name)) == tokens
