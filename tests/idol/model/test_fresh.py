"""What a model without weights to start from starts as, and trains."""

from __future__ import annotations

from typing import Any

import torch

from idol.losses import LossConfig, training_losses
from idol.model import VIDEO, DualModalDenoiser, DualModalUNetConfig, set_trainable, stage_config
from idol.model.fresh import start_from_nothing
from tests.idol.small import randomise


def fresh(config: DualModalUNetConfig) -> DualModalDenoiser:
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(config)
    start_from_nothing(model)
    return model


def predicted(model: DualModalDenoiser, inputs: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).noise_pred_BMFCHW


def test_layers_start_as_shortcuts(
    config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
) -> None:
    """Time and foreground reach the output through residual branches alone; latents do not."""
    model = fresh(config)
    output = predicted(model, inputs)
    other_time = inputs | {"timesteps_B": torch.tensor([500, 3])}
    other_foreground = inputs | {
        "encoded_foreground_BTD": torch.randn_like(inputs["encoded_foreground_BTD"])
    }
    assert torch.equal(predicted(model, other_time), output)
    assert torch.equal(predicted(model, other_foreground), output)
    assert not torch.allclose(predicted(model, inputs | {"latents_BMFCHW": -output}), output)


def test_the_output_is_near_linear_in_the_latents(
    config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
) -> None:
    """What is odd under a change of sign is linear; without the small norm half would be even."""
    bare = inputs | {"background_BCHW": torch.zeros_like(inputs["background_BCHW"])}
    turned = bare | {"latents_BMFCHW": -bare["latents_BMFCHW"]}
    model = fresh(config)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
                module.bias.zero_()
    plus, minus = predicted(model, bare), predicted(model, turned)
    assert (plus + minus).square().mean() < 0.1 * (plus - minus).square().mean()


def test_pretraining_from_nothing_trains_all_that_video_passes_through(
    config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
) -> None:
    model = DualModalDenoiser.from_config(stage_config(config, "pretrain"))
    randomise(model)
    trained = {id(parameter) for parameter in set_trainable(model, "pretrain", from_nothing=True)}
    output = model(
        inputs["latents_BMFCHW"][:, :1, :1],
        inputs["timesteps_B"],
        inputs["encoded_foreground_BTD"],
        inputs["background_BCHW"],
        modalities=(VIDEO,),
    )
    noise = torch.randn_like(output.noise_pred_BMFCHW)
    training_losses(output.noise_pred_BMFCHW, noise, (), LossConfig()).total.backward()
    for name, parameter in model.named_parameters():
        elsewhere = name.startswith("controlnet.") or ".cross_modal" in name
        assert (id(parameter) in trained) == (not elsewhere), name
        assert (parameter.grad is None) == elsewhere, name


def test_the_other_stages_do_not_ask(config: DualModalUNetConfig) -> None:
    model = DualModalDenoiser.from_config(config)
    everything = len(list(model.parameters()))
    assert len(set_trainable(model, "video", from_nothing=True)) == everything
