"""Each stage trains exactly the parameters its row of the table says (method, "Stages")."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from idol.config import ConfigError
from idol.losses import LossConfig, training_losses
from idol.model import (
    VIDEO,
    DualModalDenoiser,
    DualModalUNetConfig,
    set_trainable,
    stage_config,
)
from idol.model.denoiser import is_temporal
from tests.idol.small import randomise

Inputs = dict[str, torch.Tensor]


def stage_inputs(inputs: Inputs, stage: str) -> dict[str, Any]:
    if stage == "video":
        return dict(inputs)
    one_frame = {
        **inputs,
        "latents_BMFCHW": inputs["latents_BMFCHW"][:, :, :1],
        "pose_BFCHW": inputs["pose_BFCHW"][:, :1],
    }
    if stage == "image":
        return one_frame
    video_alone = {**one_frame, "latents_BMFCHW": one_frame["latents_BMFCHW"][:, :1]}
    del video_alone["pose_BFCHW"]
    return {**video_alone, "modalities": (VIDEO,)}


@pytest.mark.parametrize("stage", ["pretrain", "image", "video"])
def test_every_parameter_has_a_gradient_in_its_stage_and_none_elsewhere(
    config: DualModalUNetConfig, inputs: Inputs, stage: Any
) -> None:
    model = DualModalDenoiser.from_config(stage_config(config, stage))
    randomise(model)
    trained = {id(parameter) for parameter in set_trainable(model, stage)}
    output = model(**stage_inputs(inputs, stage), return_features=stage == "video")
    noise = torch.randn_like(output.noise_pred_BMFCHW)
    training_losses(output.noise_pred_BMFCHW, noise, output.features, LossConfig()).total.backward()
    for name, parameter in model.named_parameters():
        if id(parameter) in trained:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None, name


def test_what_the_stages_train(config: DualModalUNetConfig) -> None:
    for stage in ("image", "video"):
        model = DualModalDenoiser.from_config(stage_config(config, stage))
        assert len(set_trainable(model, stage)) == len(list(model.parameters()))
        assert any(is_temporal(n) for n, _ in model.named_parameters()) is (stage == "video")
    model = DualModalDenoiser.from_config(stage_config(config, "pretrain"))
    set_trainable(model, "pretrain")
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    parts = {name.split(".")[0] + "." + name.split(".")[1] for name in trained}
    assert parts == {
        "unet.down_blocks",
        "unet.mid_block",
        "unet.up_blocks",
        "unet.background_conv",
        "foreground_projection.linear",
    }
    assert not any(".resnets." in name or ".cross_modal." in name for name in trained)


@pytest.mark.parametrize(("built", "stage"), [("video", "image"), ("image", "video")])
def test_a_stage_refuses_the_other_stages_model(
    config: DualModalUNetConfig, built: Any, stage: Any
) -> None:
    model = DualModalDenoiser.from_config(stage_config(config, built))
    with pytest.raises(ValueError, match="temporal layers; build it from stage_config"):
        set_trainable(model, stage)


def test_video_stage_starts_as_the_image_stage_ended(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    image_model = DualModalDenoiser.from_config(stage_config(config, "image"))
    randomise(image_model)
    video_model = image_model.with_temporal_layers(config)
    with torch.no_grad():
        clip = video_model(**inputs).noise_pred_BMFCHW
        for frame in range(3):
            one = slice(frame, frame + 1)
            single = image_model(
                **{
                    **inputs,
                    "latents_BMFCHW": inputs["latents_BMFCHW"][:, :, one],
                    "pose_BFCHW": inputs["pose_BFCHW"][:, one],
                }
            )
            torch.testing.assert_close(clip[:, :, one], single.noise_pred_BMFCHW)


def test_only_temporal_settings_may_differ_between_stages(config: DualModalUNetConfig) -> None:
    image_model = DualModalDenoiser.from_config(config.for_single_frames())
    with pytest.raises(ConfigError, match="more than the temporal layers"):
        image_model.with_temporal_layers(DualModalUNetConfig())
