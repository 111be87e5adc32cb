"""CLIP through its real format, with small random weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idol.encoders import CLIPEncoder

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip")
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=224,
        patch_size=14,
        projection_dim=12,
        initializer_range=0.5,
    )
    model = CLIPVisionModelWithProjection(config)
    torch.nn.init.normal_(model.vision_model.post_layernorm.weight, 1, 0.3)
    model.save_pretrained(path)
    return path


def test_tokens_are_the_last_layer_after_post_layernorm(folder: Path) -> None:
    pixels = torch.randint(0, 256, (2, 30, 20, 3), dtype=torch.uint8)
    mask = torch.full((2, 30, 20), 255, dtype=torch.uint8)
    encoder = CLIPEncoder.from_pretrained(folder)
    tokens = encoder(pixels, mask)
    assert tokens.shape == (2, 257, 16)
    reference = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    values = encoder.pixel_values(pixels, mask)
    output = reference(pixel_values=values)
    norm = reference.vision_model.post_layernorm
    expected = F.layer_norm(
        output.last_hidden_state, (16,), norm.weight, norm.bias, reference.config.layer_norm_eps
    )
    torch.testing.assert_close(tokens, expected.detach(), rtol=1e-4, atol=1e-4)
    # transformers' own pooled output is the class token through this norm.
    embeds = reference.visual_projection(tokens[:, 0])
    torch.testing.assert_close(embeds, output.image_embeds, rtol=1e-4, atol=1e-4)


def test_the_mask_comes_after_normalisation(folder: Path) -> None:
    encoder = CLIPEncoder.from_pretrained(folder)
    pixels = torch.full((1, 224, 224, 3), 200, dtype=torch.uint8)
    mask = torch.zeros((1, 224, 224), dtype=torch.uint8)
    mask[:, :112] = 255
    values = encoder.pixel_values(pixels, mask)
    assert values[0, :, 112:].eq(0).all()  # zero is CLIP's mean colour
    expected = (200 / 255 - MEAN) / STD
    torch.testing.assert_close(values[0, :, 50, 50], expected)


def test_it_is_frozen(folder: Path) -> None:
    encoder = CLIPEncoder.from_pretrained(folder)
    assert not any(parameter.requires_grad for parameter in encoder.clip.parameters())
    assert not encoder.clip.training


def test_damaged_weights_are_named(folder: Path, tmp_path: Path) -> None:
    torn = Path(shutil.copytree(folder, tmp_path / "torn")) / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(OSError, match=rf"^{re.escape(str(torn))} is damaged .*: copy, fetch or"):
        CLIPEncoder.from_pretrained(torn.parent)
