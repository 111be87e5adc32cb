"""Computed memory: exact where it is a count, and telling which way is smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idol.bench.cost import build, parameters
from idol.train.memory import estimate
from tests.idol.train.micro import MODEL, micro


def of(**settings: Any) -> Any:
    return micro("video", Path("shards"), Path("output"), **settings)


def test_weights_gradients_and_states_are_counts() -> None:
    count = parameters(build(MODEL, "video", "meta"))
    found = estimate(of(ema=0.9))
    assert (found.weights, found.gradients, found.optimizer) == (4 * count, 4 * count, 8 * count)
    assert found.average == 4 * count
    assert estimate(of(adam_8bit=True)).optimizer == 2 * count
    assert estimate(of(fsdp=True), 4).optimizer == 8 * count // 4


def test_activations_grow_with_the_batch_and_shrink_with_recomputation() -> None:
    one, two = (estimate(of(batch_size=n)).activations for n in (1, 2))
    assert two == 2 * one > 0
    recomputed = estimate(of(batch_size=1, gradient_checkpointing=True)).activations
    assert recomputed < one / 2
    assert estimate(of(batch_size=1, mixed_precision="bf16")).activations == one // 2
