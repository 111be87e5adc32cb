"""A denoiser whose forwards are recorded, with a recorder that needs no GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from idol.diffusion.conditions import Conditions
from idol.diffusion.graphed import GraphedDenoiser
from idol.diffusion.sampling import sample
from idol.model import DualModalDenoiser
from idol.recording import Recorded


def conditions_of(inputs: dict[str, Tensor]) -> Conditions:
    names = ("encoded_foreground_BTD", "background_BCHW", "pose_BFCHW")
    return Conditions(*(inputs[name] for name in names))


class Recorder:
    """As a CUDA graph does it: what is played goes into the tensors of the recording."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, function: Callable[[], list[Tensor]]) -> Recorded:
        self.recorded += 1
        outputs = function()

        def play() -> None:
            self.played += 1
            for kept, new in zip(outputs, function(), strict=True):
                kept.copy_(new)

        return Recorded(outputs, play)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_samples_are_those_of_the_denoiser(
    trained: DualModalDenoiser, inputs: dict[str, Tensor], guidance: float
) -> None:
    noise, record = inputs["latents_BMFCHW"], Recorder()
    graphed = GraphedDenoiser(trained, record)
    conditions = conditions_of(inputs)
    expected = sample(trained, conditions, noise, steps=5, guidance=guidance)
    for _ in range(2):
        found = sample(graphed, conditions, noise, steps=5, guidance=guidance)
        assert torch.equal(found, expected)
    assert (record.recorded, record.played) == (1, 9)  # all but the very first forward


def test_other_shapes_are_recorded_apart_and_too_many_computed(
    trained: DualModalDenoiser, inputs: dict[str, Tensor]
) -> None:
    record = Recorder()
    graphed = GraphedDenoiser(trained, record)
    for frames in (3, 2, 1):
        noise = inputs["latents_BMFCHW"][:, :, :frames]
        conditions = conditions_of({**inputs, "pose_BFCHW": inputs["pose_BFCHW"][:, :frames]})
        expected = sample(trained, conditions, noise, steps=4, guidance=1)
        assert torch.equal(sample(graphed, conditions, noise, steps=4, guidance=1), expected)
    assert record.recorded == 2


def test_what_cannot_be_recorded_is_computed_and_said(
    trained: DualModalDenoiser, inputs: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(function: Any) -> Recorded:
        raise RuntimeError("operation not permitted when stream is capturing")

    noise, conditions = inputs["latents_BMFCHW"], conditions_of(inputs)
    with caplog.at_level(logging.WARNING):
        found = sample(GraphedDenoiser(trained, refuses), conditions, noise, steps=4)
    assert torch.equal(found, sample(trained, conditions, noise, steps=4))
    assert len(caplog.records) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_too(
    trained: DualModalDenoiser,
    inputs: dict[str, Tensor],
    dtype: torch.dtype,
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = {k: v.to("cuda", dtype if v.is_floating_point() else None) for k, v in inputs.items()}
    noise, conditions = given["latents_BMFCHW"], conditions_of(given)
    trained.to("cuda", dtype)
    expected = sample(trained, conditions, noise, steps=5)
    graphed = GraphedDenoiser(trained)
    for _ in range(2):
        found = sample(graphed, conditions, noise, steps=5)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)
    assert not caplog.records
