"""Tab. 3: with our cross-modal parts off, equal to diffusers' own models with the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel

from idol.config import ConfigError, DualModalUNetConfig
from idol.config.base import read_base
from idol.model import CheckpointError, from_pretrained_2d
from idol.model.denoiser import DualModalDenoiser
from idol.model.from_2d import load_2d_weights
from idol.variants.animatediff import AnimateDiffDenoiser, MotionUNet, load_motion_adapter
from idol.variants.t2i_adapter import (
    AdapterDenoiser,
    AnimateDiffAdapterDenoiser,
    PoseAdapter,
    load_pose_adapter,
)
from tests.idol.small import SMALL, randomise

FRAMES = 5
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "cross_attention_dim": 12,
}
CONFIG = DualModalUNetConfig(
    **{**SMALL, "layers_per_block": 2},
    cross_modal_attention="none",
    background_init="zero",
    temporal_modules="animatediff",
    pose_control="t2i_adapter",
)


def motion_adapter(folder: Path, **changes: Any) -> MotionAdapter:
    torch.manual_seed(2)
    settings: dict[str, Any] = {
        "block_out_channels": (16, 32),
        "motion_layers_per_block": 2,
        "motion_num_attention_heads": 4,
        "motion_norm_num_groups": 4,
        "motion_max_seq_length": 32,
    }
    adapter = MotionAdapter(**{**settings, **changes})
    randomise(adapter, 6, 0.05)
    adapter.save_pretrained(folder)
    return adapter


def pose_adapter(folder: Path, **changes: Any) -> T2IAdapter:
    torch.manual_seed(3)
    settings: dict[str, Any] = {"channels": [16, 32], "num_res_blocks": 2, "downscale_factor": 8}
    adapter = T2IAdapter(in_channels=3, **{**settings, **changes})
    randomise(adapter, 7, 0.05)
    adapter.save_pretrained(folder)
    return adapter


@pytest.fixture
def unet_2d() -> UNet2DConditionModel:
    torch.manual_seed(1)
    unet = UNet2DConditionModel(**UNET)
    randomise(unet, 5, 0.05)
    return unet


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "latents": draw(2, 2, FRAMES, 4, 8, 8),
        "timesteps": torch.tensor([30, 700]),
        "tokens": draw(2, 5, 12),
        "background": draw(2, 4, 8, 8),
        "poses": draw(2, FRAMES, 3, 64, 64).clamp(-1, 1),
    }


@torch.no_grad()
def test_the_unet_with_motion_modules_is_diffusers_own(
    tmp_path: Path, unet_2d: UNet2DConditionModel
) -> None:
    theirs = UNetMotionModel.from_unet2d(unet_2d, motion_adapter(tmp_path))
    denoiser = AnimateDiffDenoiser.from_config(
        dataclasses.replace(CONFIG, pose_control="controlnet")
    )
    load_2d_weights(denoiser.unet, unet_2d.state_dict())
    load_motion_adapter(denoiser, tmp_path)
    given = inputs()
    ours = denoiser.unet(
        given["latents"], given["timesteps"], given["tokens"], given["background"]
    ).noise_pred_BMFCHW
    for stream in range(2):
        expected = theirs(
            given["latents"][:, stream].transpose(1, 2),
            given["timesteps"],
            given["tokens"].repeat_interleave(FRAMES, dim=0),
        ).sample.transpose(1, 2)
        torch.testing.assert_close(ours[:, stream], expected)
    # The modules do something, and not the same on all frames.
    plain = UNet2DConditionModel.forward(
        unet_2d, given["latents"][0, 0], 30, given["tokens"][:1].expand(FRAMES, -1, -1)
    ).sample
    assert (ours[0, 0] - plain).abs().max() > 1e-3


@torch.no_grad()
def test_the_pose_adapter_is_diffusers_own_and_steers_both_streams(
    tmp_path: Path, unet_2d: UNet2DConditionModel
) -> None:
    theirs = pose_adapter(tmp_path)
    denoiser = AdapterDenoiser.from_config(dataclasses.replace(CONFIG, temporal_modules="own"))
    load_2d_weights(denoiser.unet, unet_2d.state_dict())
    load_pose_adapter(denoiser, tmp_path)
    given = inputs()
    images = given["poses"].flatten(0, 1) / 2 + 0.5
    levels = theirs(images)
    control = denoiser.controlnet(
        given["latents"], given["timesteps"], given["tokens"], given["poses"]
    )
    for level, expected in zip(control.within, levels, strict=True):
        streams = level.unflatten(0, (2, 2, FRAMES))
        for stream in range(2):
            torch.testing.assert_close(streams[:, stream].flatten(0, 1), expected)
    ours = denoiser.unet(
        given["latents"], given["timesteps"], given["tokens"], given["background"], control
    ).noise_pred_BMFCHW
    for stream in range(2):
        expected = unet_2d(
            given["latents"][:, stream].flatten(0, 1),
            given["timesteps"].repeat_interleave(FRAMES),
            given["tokens"].repeat_interleave(FRAMES, dim=0),
            down_intrablock_additional_residuals=[level.clone() for level in levels],
        ).sample
        torch.testing.assert_close(ours[:, stream].flatten(0, 1), expected)


def test_both_together_keep_what_they_took_from_folders(tmp_path: Path) -> None:
    motion_adapter(tmp_path / "motion")
    pose_adapter(tmp_path / "pose")
    image = AnimateDiffAdapterDenoiser.from_unified(
        DualModalDenoiser.from_config(CONFIG.for_single_frames())
    )
    assert not any(".motion_modules." in key for key in image.state_dict())
    load_pose_adapter(image, tmp_path / "pose")
    video = image.with_temporal_layers(CONFIG)
    load_motion_adapter(video, tmp_path / "motion")
    assert isinstance(video.unet, MotionUNet)
    assert isinstance(video.controlnet, PoseAdapter)
    assert not any("temporal_conv" in key for key in video.state_dict())
    video.save_pretrained(tmp_path / "model")
    loaded = AnimateDiffAdapterDenoiser.from_pretrained(tmp_path / "model").state_dict()
    weights = MotionAdapter.from_pretrained(tmp_path / "motion").state_dict()
    weights = {f"unet.{key}": value for key, value in weights.items()}
    adapter = T2IAdapter.from_pretrained(tmp_path / "pose").state_dict()
    weights |= {f"controlnet.{key}": value for key, value in adapter.items()}
    assert len(weights) > 100
    for key, value in weights.items():
        assert torch.equal(loaded[key], value), key


def test_output_projections_of_fresh_modules_are_not_zero() -> None:
    unet = MotionUNet(CONFIG)
    modules = [m for n, m in unet.named_modules() if n.endswith("motion_modules")]
    assert sum(len(list(m.children())) for m in modules) == 2 * 2 + 1 + 2 * 3
    for key, value in unet.state_dict().items():
        if ".motion_modules." in key and key.endswith("proj_out.weight"):
            assert value.abs().max() > 0


def test_more_frames_than_positions_are_refused() -> None:
    unet = MotionUNet(dataclasses.replace(CONFIG, motion_frames=4))
    given = inputs()
    with pytest.raises(ValueError, match="at most 4 frames, and got 5: take windows"):
        unet(given["latents"], given["timesteps"], given["tokens"], given["background"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"motion_max_seq_length": 24}, "motion_max_seq_length is 24, and the model's 32"),
        ({"use_motion_mid_block": False}, "use_motion_mid_block is False"),
        ({"motion_num_attention_heads": 2}, "motion_num_attention_heads is 2"),
        ({"block_out_channels": (16, 16)}, r"block_out_channels is \[16, 16\]"),
    ],
)
def test_motion_adapters_that_do_not_fit(tmp_path: Path, changes: Any, reason: str) -> None:
    motion_adapter(tmp_path, **changes)
    with pytest.raises(ConfigError, match=reason):
        load_motion_adapter(AnimateDiffDenoiser.from_config(CONFIG), tmp_path)


def test_a_pose_adapter_that_does_not_fit(tmp_path: Path) -> None:
    denoiser = AdapterDenoiser.from_config(CONFIG)
    with pytest.raises(FileNotFoundError, match="--pose-adapter takes a folder of diffusers'"):
        load_pose_adapter(denoiser, tmp_path)
    pose_adapter(tmp_path, channels=[16, 16])
    with pytest.raises(ConfigError, match="channels is"):
        load_pose_adapter(denoiser, tmp_path)
    pose_adapter(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"adapter.conv_in.weight": torch.zeros(1)}, tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="missing from it"):
        load_pose_adapter(denoiser, tmp_path)


SD15 = {**UNET, "attention_head_dim": 4}
SD21 = {**UNET, "attention_head_dim": (2, 4), "use_linear_projection": True}
SD21 |= {"cross_attention_dim": 20, "upcast_attention": True}


def save_base(folder: Path, unet: dict[str, Any], prediction: str | None) -> UNet2DConditionModel:
    """A folder as Stable Diffusion's are: U-Net, scheduler, and an image encoder of 24 channels."""
    from diffusers import PNDMScheduler
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(5)
    model = UNet2DConditionModel(**unet)
    randomise(model, 8, 0.05)
    model.save_pretrained(folder / "unet")
    if prediction:
        PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            prediction_type=prediction,
        ).save_pretrained(folder / "scheduler")  # fmt: skip
    encoder = CLIPVisionConfig(
        hidden_size=24, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        image_size=28, patch_size=14, projection_dim=unet["cross_attention_dim"],
    )  # fmt: skip
    CLIPVisionModelWithProjection(encoder).save_pretrained(folder / "image_encoder")
    return model


@pytest.mark.parametrize(
    ("unet", "prediction", "expected"),
    [(SD15, "epsilon", "noise"), (SD15, None, "noise"), (SD21, "v_prediction", "v"),
     (SD21, "epsilon", "noise")],
)  # fmt: skip
@torch.no_grad()
def test_stable_diffusion_1_5_and_2_1_are_bases(
    tmp_path: Path, unet: dict[str, Any], prediction: str | None, expected: str
) -> None:
    theirs = save_base(tmp_path, unet, prediction)
    model = from_pretrained_2d(tmp_path, background_init="zero")
    settings = model.settings
    assert (settings.prediction, settings.foreground_dim) == (expected, 24)
    assert settings.cross_attention_dim == unet["cross_attention_dim"]
    given = inputs()
    tokens = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(9))
    ours = model(
        given["latents"], given["timesteps"], tokens, given["background"],
        torch.zeros(2, FRAMES, 4, 8, 8),
    ).noise_pred_BMFCHW  # fmt: skip
    images = given["latents"].flatten(0, 2)
    times = given["timesteps"].repeat_interleave(2 * FRAMES)
    projected = model.foreground_projection(tokens).repeat_interleave(2 * FRAMES, dim=0)
    output = theirs(images, times, projected).sample
    if expected == "v":
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_pretrained(tmp_path / "scheduler")
        fraction = scheduler.alphas_cumprod[times][:, None, None, None]
        output = fraction.sqrt() * output + (1 - fraction).sqrt() * images
    torch.testing.assert_close(ours.flatten(0, 2), output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("unet", "prediction", "reason"),
    [
        ({**SD21, "attention_head_dim": (4, 4)}, "epsilon", "heads of one size at all levels"),
        (SD15, "sample", "prediction_type='sample'; this model needs epsilon or v_prediction"),
        ({**SD15, "class_embed_type": "timestep"}, "epsilon", "class_embed_type"),
    ],
)
def test_what_does_not_fit_is_named_in_a_line(
    tmp_path: Path, unet: dict[str, Any], prediction: str, reason: str
) -> None:
    save_base(tmp_path, unet, prediction)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_base(tmp_path)
    assert "\n" not in str(caught.value)


def test_half_precision_folders_are_read(tmp_path: Path) -> None:
    theirs = save_base(tmp_path, SD21, "v_prediction")
    folder = tmp_path / "unet"
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    theirs.half().save_pretrained(folder, variant="fp16")
    model = from_pretrained_2d(tmp_path)
    torch.testing.assert_close(model.unet.conv_in.weight, theirs.conv_in.weight.float())
