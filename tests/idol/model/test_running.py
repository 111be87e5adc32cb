"""Ways to run the model: checkpointing, half precision, channels-last, compilation."""

from __future__ import annotations

import copy

import pytest
import torch

from idol.model import DualModalDenoiser

Inputs = dict[str, torch.Tensor]


def gradients(model: DualModalDenoiser, inputs: Inputs) -> dict[str, torch.Tensor]:
    output = model(**inputs, return_features=True)
    loss = output.noise_pred_BMFCHW.square().mean() + output.features[0].motion_BMFHWC.mean()
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_checkpointing_changes_no_gradient(trained: DualModalDenoiser, inputs: Inputs) -> None:
    checkpointed = copy.deepcopy(trained)
    checkpointed.enable_gradient_checkpointing()
    expected, found = gradients(trained, inputs), gradients(checkpointed, inputs)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_checkpointing_keeps_fewer_tensors(trained: DualModalDenoiser, inputs: Inputs) -> None:
    kept = []
    for checkpoint in (False, True):
        if checkpoint:
            trained.enable_gradient_checkpointing()
        sizes: list[int] = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: (sizes.append(x.numel()), x)[1], lambda x: x
        )
        with hooks:
            trained(**inputs)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(trained: DualModalDenoiser, inputs: Inputs, dtype: torch.dtype) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    cast = {k: v if k == "timesteps_B" else v.to(dtype) for k, v in inputs.items()}
    found = copy.deepcopy(trained).to(dtype)(**cast).noise_pred_BMFCHW
    assert found.dtype == dtype
    error = (found.float() - expected).norm() / expected.norm()
    assert error < (0.05 if dtype == torch.bfloat16 else 0.01)


def test_autocast(trained: DualModalDenoiser, inputs: Inputs) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    with torch.autocast("cpu", torch.bfloat16):
        found = trained(**inputs).noise_pred_BMFCHW
    assert (found.float() - expected).norm() / expected.norm() < 0.05


def test_channels_last_changes_no_output(trained: DualModalDenoiser, inputs: Inputs) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    trained.to(memory_format=torch.channels_last)
    found = trained(**inputs).noise_pred_BMFCHW
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_attention_goes_through_sdpa_alone(trained: DualModalDenoiser, inputs: Inputs) -> None:
    """Softmax is never called outside of SDPA, even when features are recorded."""
    with torch.no_grad(), torch.profiler.profile() as profile:
        trained(**inputs, return_features=True)
    names = {event.key for event in profile.key_averages()}
    assert "aten::scaled_dot_product_attention" in names
    assert "aten::softmax" not in names


# Dynamo hides this warning of its own by a means that pytest's error filter does not see.
hidden_by_dynamo = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")


@pytest.mark.slow
@hidden_by_dynamo
def test_blocks_are_captured_whole_by_compilation(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    trained.compile_repeated_blocks(backend="eager", fullgraph=True)
    torch.testing.assert_close(trained(**inputs).noise_pred_BMFCHW, expected)


@pytest.mark.slow
@hidden_by_dynamo
def test_compiled_kernels(trained: DualModalDenoiser, inputs: Inputs) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    trained.compile_repeated_blocks()
    found = trained(**inputs).noise_pred_BMFCHW
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(trained: DualModalDenoiser, inputs: Inputs) -> None:
    expected = trained(**inputs).noise_pred_BMFCHW
    found = trained.cuda()(**{k: v.cuda() for k, v in inputs.items()}).noise_pred_BMFCHW
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-3)


def test_what_all_units_make_of_the_same_is_what_each_makes(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    unet = trained.unet
    tokens = trained.foreground_projection(inputs["encoded_foreground_BTD"])
    given = inputs["latents_BMFCHW"], inputs["timesteps_B"]
    embeddings = unet.embeddings(*given, tokens, (0, 1))
    assert len(embeddings.made) == sum(
        len([*block.resnets, *block.attentions])
        for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    )
    entered = unet.enter(*given, inputs["background_BCHW"], (0, 1), embeddings)
    together, _ = unet.encode(entered, embeddings)
    apart, _ = unet.encode(entered, embeddings._replace(made={}))
    torch.testing.assert_close(together, apart)
