"""A fresh model is diffusers' own 2D model, frame by frame, with the same weights."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D

from idol.model import (
    DualModalDenoiser,
    DualModalUNet,
    DualModalUNetConfig,
    PoseControlNet,
    blocks,
)
from idol.model.from_2d import load_2d_weights
from tests.idol.small import SMALL, randomise

SHARED_2D = {
    "block_out_channels": SMALL["block_out_channels"],
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "cross_attention_dim": 12,
}


@pytest.fixture
def unet_2d() -> UNet2DConditionModel:
    torch.manual_seed(3)
    model = UNet2DConditionModel(up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **SHARED_2D)
    return randomise(model, 3, 0.05)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
def test_every_frame_of_a_fresh_unet_equals_the_2d_unet(
    config: DualModalUNetConfig,
    unet_2d: UNet2DConditionModel,
    frames: int,
    size: tuple[int, int],
) -> None:
    unet = DualModalUNet(dataclasses.replace(config, background_init="zero"))
    load_2d_weights(unet, unet_2d.state_dict())
    latents, tokens = torch.randn(2, 2, frames, 4, *size), torch.randn(2, 5, 12)
    timesteps = torch.tensor([3, 900])
    with torch.no_grad():
        ours = unet(latents, timesteps, tokens, torch.randn(2, 4, *size)).noise_pred_BMFCHW
        for clip in range(2):
            for modality in range(2):
                for frame in range(frames):
                    theirs = unet_2d(
                        latents[clip : clip + 1, modality, frame],
                        timesteps[clip],
                        tokens[clip : clip + 1],
                    ).sample
                    torch.testing.assert_close(ours[clip, modality, frame], theirs[0])


def test_every_frame_of_a_fresh_controlnet_equals_the_2d_controlnet(
    config: DualModalUNetConfig, unet_2d: UNet2DConditionModel
) -> None:
    controlnet_2d = randomise(ControlNetModel.from_unet(unet_2d), 4, 0.05)
    # Theirs takes an image of pixels and shrinks it; ours a latent. Compare without a hint.
    torch.nn.init.zeros_(controlnet_2d.controlnet_cond_embedding.conv_out.weight)
    torch.nn.init.zeros_(controlnet_2d.controlnet_cond_embedding.conv_out.bias)
    controlnet = PoseControlNet(config)
    theirs_2d = {k: v for k, v in controlnet_2d.state_dict().items() if "cond_embedding" not in k}
    missing, extra = controlnet.load_state_dict(theirs_2d, strict=False)
    assert not extra
    assert all("temporal" in k or k.startswith(("pose_conv", "modality_embed")) for k in missing)
    latents, tokens = torch.randn(1, 2, 3, 4, 8, 8), torch.randn(1, 5, 12)
    with torch.no_grad():
        ours = controlnet(latents, torch.tensor([40]), tokens, torch.randn(1, 3, 4, 8, 8))
        theirs = controlnet_2d(
            latents.flatten(0, 2),
            40,
            tokens.expand(6, -1, -1),
            torch.randn(6, 3, 64, 64),
            return_dict=False,
        )
    for our_skip, their_skip in zip(ours.skips, theirs[0], strict=True):
        torch.testing.assert_close(our_skip, their_skip)
    torch.testing.assert_close(ours.mid, theirs[1])


def test_controlled_unet_equals_the_controlled_2d_unet(
    config: DualModalUNetConfig, unet_2d: UNet2DConditionModel, inputs: dict[str, torch.Tensor]
) -> None:
    model = DualModalDenoiser.from_config(dataclasses.replace(config, background_init="zero"))
    load_2d_weights(model.unet, unet_2d.state_dict())
    for conv in [*model.controlnet.controlnet_down_blocks, model.controlnet.controlnet_mid_block]:
        randomise(conv)
    tokens = model.foreground_projection(inputs["encoded_foreground_BTD"])
    latents, timesteps = inputs["latents_BMFCHW"], inputs["timesteps_B"]
    with torch.no_grad():
        control = model.controlnet(latents, timesteps, tokens, inputs["pose_BFCHW"])
        ours = model(**inputs).noise_pred_BMFCHW
        theirs = unet_2d(
            latents.flatten(0, 2),
            timesteps.repeat_interleave(6),
            tokens.repeat_interleave(6, 0),
            down_block_additional_residuals=control.skips,
            mid_block_additional_residual=control.mid,
        ).sample
    torch.testing.assert_close(ours.flatten(0, 2), theirs)


@pytest.mark.parametrize("most", [2**31 - 1, 1])
def test_enlarging_equals_theirs_and_leaves_many_images_channels_last(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(blocks, "_MOST_ENLARGED", most)
    theirs, ours = Upsample2D(8, use_conv=True), blocks.Upsample(8)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(64, 8, 3, 5).to(memory_format=torch.channels_last)
    given: list[torch.Tensor] = []
    ours.conv.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    torch.testing.assert_close(ours(images, (6, 9)), theirs(images, (6, 9)))
    assert given[0].is_contiguous(memory_format=torch.channels_last) == (most > 1)
