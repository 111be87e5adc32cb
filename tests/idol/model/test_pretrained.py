"""Starting from 2D models saved by diffusers: both layouts, random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from idol.model import CheckpointError, ConfigError, from_pretrained_2d

WEIGHTS = "diffusion_pytorch_model.safetensors"


def save_unet(folder: Path, **changes: Any) -> UNet2DConditionModel:
    torch.manual_seed(5)
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 4,
        "norm_num_groups": 4,
        "cross_attention_dim": 12,
    }
    unet = UNet2DConditionModel(**{**settings, **changes})
    unet.save_pretrained(folder / "unet")
    return unet


def save_image_encoder(folder: Path) -> torch.Tensor:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=20,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=12,
    )
    model = CLIPVisionModelWithProjection(config)
    model.save_pretrained(folder)
    return model.visual_projection.weight.detach()


def test_stable_diffusion_folder(tmp_path: Path) -> None:
    unet_2d = save_unet(tmp_path)
    model = from_pretrained_2d(tmp_path, background_init="zero", foreground_dim=20)
    latents, tokens = torch.randn(1, 2, 3, 4, 8, 8), torch.randn(1, 5, 20)
    with torch.no_grad():
        ours = model(
            latents,
            torch.tensor([7]),
            tokens,
            torch.randn(1, 4, 8, 8),
            torch.randn(1, 3, 4, 8, 8),
        ).noise_pred_BMFCHW
        projected = model.foreground_projection(tokens).expand(6, -1, -1)
        theirs = unet_2d(latents.flatten(0, 2), 7, projected).sample
    torch.testing.assert_close(ours.flatten(0, 2), theirs)
    for name, value in model.controlnet.state_dict().items():
        if name in unet_2d.state_dict():
            assert torch.equal(value, unet_2d.state_dict()[name]), name


def test_image_variations_folder(tmp_path: Path) -> None:
    save_unet(tmp_path)
    projection = save_image_encoder(tmp_path / "image_encoder")
    model = from_pretrained_2d(tmp_path)
    assert torch.equal(model.foreground_projection.linear.weight, projection)
    unet = model.unet
    assert torch.equal(unet.background_conv.weight, unet.conv_in.weight)
    assert unet.background_conv.bias.abs().max() == 0


def test_image_encoder_from_another_folder(tmp_path: Path) -> None:
    save_unet(tmp_path / "sd")
    projection = save_image_encoder(tmp_path / "clip")
    model = from_pretrained_2d(tmp_path / "sd", image_encoder=tmp_path / "clip")
    assert torch.equal(model.foreground_projection.linear.weight, projection)


def test_older_folders_hold_bin_files(tmp_path: Path) -> None:
    unet_2d = save_unet(tmp_path)
    (tmp_path / "unet" / WEIGHTS).unlink()
    torch.save(unet_2d.state_dict(), tmp_path / "unet" / "diffusion_pytorch_model.bin")
    model = from_pretrained_2d(tmp_path)
    assert torch.equal(model.unet.conv_out.weight, unet_2d.conv_out.weight)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"in_channels": 9}, "inpainting"),
        ({"attention_head_dim": (4, 4)}, "needs one number of heads"),
        ({"up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D")}, "this model mirrors"),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, changes: dict, reason: str) -> None:
    save_unet(tmp_path, **changes)
    with pytest.raises(ConfigError, match=reason):
        from_pretrained_2d(tmp_path)


def test_incomplete_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        from_pretrained_2d(tmp_path)
    save_unet(tmp_path)
    path = tmp_path / "unet" / WEIGHTS
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if k != "conv_in.weight"}, path)
    with pytest.raises(CheckpointError, match=r"missing from it: conv_in\.weight"):
        from_pretrained_2d(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no weights in"):
        from_pretrained_2d(tmp_path)


def test_an_unknown_switch_is_refused(tmp_path: Path) -> None:
    save_unet(tmp_path)
    with pytest.raises(ConfigError, match="unknown setting cross_model"):
        from_pretrained_2d(tmp_path, cross_model="none")


def test_config_written_by_diffusers_is_what_we_read(tmp_path: Path) -> None:
    save_unet(tmp_path)
    found = json.loads((tmp_path / "unet" / "config.json").read_text())
    settings = from_pretrained_2d(tmp_path).settings
    assert list(settings.block_out_channels) == found["block_out_channels"]
    assert settings.attention_heads == found["attention_head_dim"]
