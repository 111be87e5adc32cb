"""The parameters of the paper's model, counted on the meta device (method, "Parameters")."""

from __future__ import annotations

import dataclasses

import torch

from idol.model import DualModalDenoiser, DualModalUNet, PoseControlNet, preset
from idol.model.stages import stage_config


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def build(**switches: object) -> DualModalDenoiser:
    with torch.device("meta"):
        return DualModalDenoiser.from_config(dataclasses.replace(preset("sd14"), **switches))


def test_parameters_are_those_of_the_method_to_the_unit() -> None:
    model = build()
    without_exchange = build(cross_modal_attention="none")
    embeddings = count(model.unet.modality_embed) + count(model.controlnet.modality_embed)
    background = count(model.unet.background_conv)
    assert embeddings == 5_120
    assert background == 11_840
    assert count(without_exchange.unet) - embeddings // 2 - background == 975_842_884
    assert count(without_exchange.controlnet) - embeddings // 2 == 416_570_560
    assert count(model) - count(without_exchange) == 23_774_080
    assert count(model.foreground_projection) == 786_432
    assert count(model) == 1_416_990_916


def test_single_frame_unet_has_the_parameters_of_stable_diffusion() -> None:
    config = stage_config(preset("sd14"), "image")
    with torch.device("meta"):
        unet, controlnet = DualModalUNet(config), PoseControlNet(config)
    assert count(unet) - 11_840 - 2_560 - 23_774_080 == 859_520_964
    assert not any("temporal" in name for name, _ in unet.named_parameters())
    assert not any("temporal" in name for name, _ in controlnet.named_parameters())


def test_cross_modal_attention_sits_in_the_seven_blocks_with_attention() -> None:
    unet = build().unet
    blocks = {name for name, _ in unet.named_modules() if name.endswith("cross_modal")}
    downs = {f"down_blocks.{i}.cross_modal" for i in range(3)}
    ups = {f"up_blocks.{i}.cross_modal" for i in range(1, 4)}
    assert blocks == downs | ups | {"mid_block.cross_modal"}


def test_tiny_is_hundreds_of_times_smaller() -> None:
    tiny = DualModalDenoiser.from_config(preset("tiny"))
    assert 1_416_990_916 / count(tiny) > 250
