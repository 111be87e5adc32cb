"""What a model without weights to start from starts as."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from idol.diffusion.schedule import signal_fraction
from idol.losses import LossConfig, training_losses
from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model.initial_weights import start_from_nothing
from tests.idol.small import SMALL


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


def test_the_output_starts_as_the_normalised_input(inputs: dict[str, torch.Tensor]) -> None:
    """But for the bend of SiLU, and for the little that comes from coarser levels."""
    config = DualModalUNetConfig(
        **SMALL | {"norm_groups": 2, "latent_channels": 8}, background_init="zero"
    )
    wider = {
        name: torch.cat([value, -value], dim=-3) if name in CARRIED else value
        for name, value in inputs.items()
    }
    latents = wider["latents_BMFCHW"]
    std = latents.flatten(3).std(dim=3, correction=0)[..., None, None, None]
    shift = torch.tensor(2.0)
    bent = F.silu(latents / std + shift) - F.silu(shift)
    output = predicted(fresh(config), wider)
    torch.testing.assert_close(output, bent, rtol=0, atol=0.03)
    near = (latents / std).abs() < 2
    assert ((output - 1.09 * latents / std)[near].abs() < 0.5).all()


CARRIED = ("latents_BMFCHW", "background_BCHW", "pose_BFCHW")


CHANGE = {"prediction": "change", "change_spread": (1, 0.5, 0.5, 0.2), "far_latent": (1, 0, 0, 0)}


def test_where_the_change_is_predicted_little_of_it_is(
    config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
) -> None:
    """The clean latents start as the background and the farthest depth; pose matters at once."""
    model = fresh(dataclasses.replace(config, background_init="zero", **CHANGE))
    fraction = signal_fraction(inputs["timesteps_B"])[:, None, None, None, None, None]
    noise = predicted(model, inputs)
    clean = (inputs["latents_BMFCHW"] - (1 - fraction).sqrt() * noise) / fraction.sqrt()
    far = torch.tensor(CHANGE["far_latent"])[:, None, None]
    expected = torch.stack(
        [inputs["background_BCHW"], far.expand_as(inputs["background_BCHW"])], dim=1
    )
    assert 0 < (clean - expected[:, :, None]).abs().mean() < 0.1
    other_pose = inputs | {"pose_BFCHW": torch.randn_like(inputs["pose_BFCHW"])}
    assert not torch.equal(predicted(model, other_pose), noise)


@pytest.mark.parametrize("switches", [{}, CHANGE])
def test_every_parameter_learns_within_a_few_steps(
    config: DualModalUNetConfig, inputs: dict[str, torch.Tensor], switches: dict[str, Any]
) -> None:
    """What starts as zero hides nothing for good."""
    model = fresh(dataclasses.replace(config, **switches))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: set[str] = set()
    for _ in range(9):
        output = model(**inputs, return_features=True)
        noise = torch.zeros_like(output.noise_pred_BMFCHW)
        training_losses(
            output.noise_pred_BMFCHW, noise, output.features, LossConfig()
        ).total.backward()
        seen |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
        optimizer.zero_grad()
    assert seen == {name for name, _ in model.named_parameters()}
