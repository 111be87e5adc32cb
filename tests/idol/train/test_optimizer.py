from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from idol.config.train import OptimizerConfig
from idol.train.optimizer import (
    learning_rate,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
)

CONFIG = OptimizerConfig(steps=100, learning_rate=1.0)


def test_learning_rate_rises_over_a_tenth_and_falls_to_zero() -> None:
    rates = [learning_rate(step, CONFIG) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == max(rates) == 1
    falls = [a - b for a, b in itertools.pairwise(rates[10:])]
    assert falls == pytest.approx([1 / 90] * 90)
    assert rates[100] == 0
    without = dataclasses.replace(CONFIG, warm_up=0.0)
    assert learning_rate(0, without) == 1


def test_state_goes_to_tensors_and_back() -> None:
    def fresh() -> tuple[dict[torch.nn.Parameter, str], torch.optim.Optimizer]:
        torch.manual_seed(0)
        names = {
            torch.nn.Parameter(torch.randn(3, 2)): "a.b",
            torch.nn.Parameter(torch.ones(1)): "c",
        }
        return names, make_optimizer(names, CONFIG)

    def step(names: dict[torch.nn.Parameter, str], optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        torch.stack([p.square().sum() for p in names]).sum().backward()
        optimizer.step()

    names, optimizer = fresh()
    step(names, optimizer)
    tensors, numbers = optimizer_state(optimizer, names)
    assert sorted(tensors) == [
        f"{name}/{key}" for name in ("a.b", "c") for key in ("exp_avg", "exp_avg_sq", "step")
    ]
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    again, other = fresh()
    with torch.no_grad():
        for new, old in zip(again, names, strict=True):
            new.copy_(old)
    load_optimizer_state(other, again, tensors, numbers)
    for _ in range(2):
        step(names, optimizer)
        step(again, other)
    for new, old in zip(again, names, strict=True):
        assert torch.equal(new, old)
