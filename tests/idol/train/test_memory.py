"""Computed memory: exact where it is a count, and telling which way is smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from idol.config.model import StageName
from idol.model.cost import build, parameters
from idol.train.memory import estimate
from tests.idol.train.micro import MODEL, configured, micro


def of(**settings: Any) -> Any:
    return micro("video", Path("shards"), Path("output"), **settings)


def test_weights_gradients_and_states_are_counts() -> None:
    count = parameters(build(MODEL, "video", "meta"))
    found = estimate(of(ema=0.9))
    assert (found.weights, found.gradients, found.optimizer) == (4 * count, 4 * count, 8 * count)
    assert found.average == 4 * count
    assert estimate(of(adam_8bit=True, cpu=False)).optimizer == 2 * count
    assert estimate(of(fsdp=True), 4).optimizer == 8 * count // 4


def test_activations_grow_with_the_batch_and_shrink_with_recomputation() -> None:
    one, two = (estimate(of(batch_size=n)).activations for n in (1, 2))
    assert two == 2 * one > 0
    recomputed = estimate(of(batch_size=1, gradient_checkpointing=True)).activations
    assert recomputed < one / 2


def test_autocast_keeps_weights_twice_and_saves_a_third_of_the_rest() -> None:
    one, two = (estimate(of(batch_size=n)).activations for n in (1, 2))
    first, second = (estimate(of(batch_size=n, mixed_precision="bf16")).activations for n in (1, 2))
    assert second - first == pytest.approx(2 / 3 * (two - one), abs=2)
    assert 0 < first - 2 / 3 * one < 2 * parameters(build(MODEL, "video", "meta"))


def test_gradients_come_as_activations_go_unless_they_stay() -> None:
    found = estimate(of())
    lasting = found.weights + found.optimizer
    assert found.total == lasting + max(found.gradients, found.activations)
    for config, processes in ((of(accumulation=2), 1), (of(), 2)):
        stays = estimate(config, processes)
        assert stays.total == lasting + found.gradients + found.activations
    divided = estimate(of(fsdp=True), 2)
    assert divided.total < sum(divided.parts.values())


# Peaks of `idol-train` on one NVIDIA H100 with torch 2.11, in GB (docs/training.md).
@pytest.mark.parametrize(
    ("stage", "settings", "measured"),
    [
        ("pretrain", {"mixed_precision": "bf16"}, 15.0),
        ("image", {}, 28.3),
        ("video", {"mixed_precision": "bf16"}, 30.5),
        ("video", {"mixed_precision": "bf16", "gradient_checkpointing": True}, 24.3),
    ],
)
def test_estimates_are_near_what_was_measured(
    stage: StageName, settings: dict[str, Any], measured: float
) -> None:
    config = configured(stage, "sd14", "shards", Path("output"), **settings)
    assert estimate(config).total == pytest.approx(measured * 1e9, rel=0.05)
