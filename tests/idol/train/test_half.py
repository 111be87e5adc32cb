"""Half precision by copies of the weights, against autocast and against float32."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model.attention import zero_
from idol.train.half import run_in_half
from idol.variants import VARIANTS, denoiser_class
from tests.idol.small import randomise

Inputs = dict[str, torch.Tensor]


def gradients(model: DualModalDenoiser, inputs: Inputs, *, autocast: bool) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = model(**inputs, return_features=True)
    loss = output.noise_pred_BMFCHW.float().square().mean()
    (loss + output.features[0].motion_BMFHWC.float().mean()).backward()
    grads = [p.grad for p in model.parameters()]
    assert all(g is not None and g.dtype == torch.float32 for g in grads)
    return torch.cat([g.flatten() for g in grads if g is not None])


def far(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_gradients_are_as_near_to_those_of_float32_as_autocasts(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    halved, cast = copy.deepcopy(trained), copy.deepcopy(trained)
    run_in_half(halved, torch.bfloat16)
    exact = gradients(trained, inputs, autocast=False)
    by_autocast = far(gradients(cast, inputs, autocast=True), exact)
    assert 0 < far(gradients(halved, inputs, autocast=False), exact) < max(1.5 * by_autocast, 0.02)


@pytest.mark.parametrize("name", ["animatediff", "mm-diffusion", "t2i-adapter"])
def test_variants_of_the_network_compute_in_half_too(
    name: str, config: DualModalUNetConfig, inputs: Inputs
) -> None:
    """Positions of motion modules are no parameters, and are copied with them."""
    config = dataclasses.replace(config, **VARIANTS[name].model, pose_downscale=1)
    model = denoiser_class(name, "video").from_config(config)
    randomise(model)
    if name == "t2i-adapter":
        inputs["pose_BFCHW"] = inputs["pose_BFCHW"][:, :, :3]
    halved, cast = copy.deepcopy(model), copy.deepcopy(model)
    run_in_half(halved, torch.bfloat16)
    with torch.no_grad():
        exact = model(**inputs).noise_pred_BMFCHW
        with torch.autocast("cpu", torch.bfloat16):
            by_autocast = far(cast(**inputs).noise_pred_BMFCHW, exact)
    made = halved(**inputs).noise_pred_BMFCHW
    assert 0 < far(made.detach(), exact) < max(1.5 * by_autocast, 0.02)
    made.float().square().mean().backward()
    before = model.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in halved.state_dict().items())


def test_noise_of_an_early_timestep_is_made_of_exact_latents(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    change = {"prediction": "change", "change_spread": (1.0,) * 4, "far_latent": (0.5,) * 4}
    model = DualModalDenoiser.from_config(dataclasses.replace(config, **change))
    zero_(model.unet.conv_out)
    inputs["timesteps_B"] = torch.tensor([0, 3])
    expected = model(**inputs).noise_pred_BMFCHW.detach()
    run_in_half(model, torch.bfloat16)
    torch.testing.assert_close(model(**inputs).noise_pred_BMFCHW, expected)


def test_parameters_are_what_they_were(trained: DualModalDenoiser, inputs: Inputs) -> None:
    before = copy.deepcopy(trained.state_dict())
    run_in_half(trained, torch.bfloat16)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            assert trained(**inputs).noise_pred_BMFCHW.dtype == torch.bfloat16
        for name, value in trained.state_dict().items():
            assert torch.equal(value, before[name])
    assert trained.unet.conv_in.weight.dtype == torch.float32  # without gradients none stay


def test_a_pass_sees_the_weights_of_its_own_step(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    run_in_half(trained, torch.bfloat16)
    before = trained(**inputs).noise_pred_BMFCHW.detach()
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if name.startswith("unet.conv_out."):
                parameter.mul_(2)
    torch.testing.assert_close(trained(**inputs).noise_pred_BMFCHW, 2 * before)


def test_frozen_weights_are_copied_and_have_no_gradient(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    trained.unet.down_blocks.requires_grad_(False)
    run_in_half(trained, torch.bfloat16)
    trained(**inputs).noise_pred_BMFCHW.float().sum().backward()
    for name, parameter in trained.named_parameters():
        assert (parameter.grad is None) == name.startswith("unet.down_blocks."), name


def test_checkpointing_computes_anew_with_the_same_copies(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    kept, recomputed = copy.deepcopy(trained), copy.deepcopy(trained)
    recomputed.enable_gradient_checkpointing()
    found = []
    for model in (kept, recomputed):
        run_in_half(model, torch.bfloat16)
        found.append(gradients(model, inputs, autocast=False))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_blocks_take_the_copies(trained: DualModalDenoiser, inputs: Inputs) -> None:
    run_in_half(trained, torch.bfloat16)
    expected = trained(**inputs).noise_pred_BMFCHW
    trained.compile_repeated_blocks(backend="eager", fullgraph=True)
    torch.testing.assert_close(trained(**inputs).noise_pred_BMFCHW, expected)
