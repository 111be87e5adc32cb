"""What steps launch and wait for, counted without an accelerator."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import launches
from idol.bench.dispatch import Counts, counting
from idol.model import DualModalUNetConfig
from idol.train.train import train
from tests.idol.small import SMALL
from tests.idol.train.micro import micro

CONFIG = DualModalUNetConfig(**SMALL)


def total(counts: dict[str, Counts]) -> int:
    return sum(part.total for part in counts.values())


def test_launches_are_operations_and_not_views() -> None:
    layer, x = torch.nn.Linear(4, 8, bias=False), torch.randn(2, 3, 4)
    with counting() as counts:
        layer(x).relu().transpose(0, 1).contiguous()
    assert counts.launches == {"mm": 1, "relu": 1, "clone": 1}
    assert counts.copies == {"clone": 1}
    assert counts.copied == 2 * 2 * 3 * 8 * 4
    assert not counts.waits


def test_an_operation_on_a_list_is_launched_in_parts() -> None:
    small = [torch.empty(10, device="meta") for _ in range(200)]
    large = [torch.empty(65536 * 640, device="meta")]
    with counting() as counts:
        torch._foreach_mul_(small, 2.0)
        torch._foreach_mul_(large, 2.0)
    assert counts.launches == {"_foreach_mul_": 2 + 2}


def test_numbers_and_copies_that_are_waited_for() -> None:
    there, here = torch.ones(3, device="meta"), torch.ones(3)
    with counting(host="cpu") as counts:
        float(there.sum())
        there + here.to("meta")
        there + here.to("meta", non_blocking=True)
        float(here.sum())
    assert counts.waits == {"_local_scalar_dense": 1, "_to_copy": 1}


@pytest.mark.parametrize("stage", ["pretrain", "video"])
def test_nothing_between_two_exchanges_waits(stage: Any) -> None:
    assert launches.step_waits(CONFIG, stage, size=8) == {}


def test_the_loop_asks_for_no_number_but_in_its_exchange(boxes: Path, tmp_path: Path) -> None:
    asked = []
    for steps in (1, 3):
        config = micro("video", boxes, tmp_path / str(steps), steps=steps, sample_every=0)
        report = dataclasses.replace(config.report, gradient_norms_every=0, validate_every=0)
        with counting() as counts:
            train(dataclasses.replace(config, report=report))
        asked.append(counts.waits)
    assert asked[0] == asked[1]


@pytest.mark.slow
def test_copies_of_weights_are_launched_together() -> None:
    counts = {
        precision: launches.step_counts(CONFIG, "video", precision, size=8)
        for precision in ("float32", "bf16", "bf16 by autocast")
    }
    plain, half, autocast = map(total, counts.values())
    assert half < plain + 150
    assert half < 0.85 * autocast


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "most"), [("pretrain", 1100), ("image", 2100), ("video", 2600)])
def test_launches_of_the_papers_widths(stage: str, most: int, tmp_path: Path) -> None:
    launches.main(["--stages", stage, "--precisions", "bf16", "--json", str(tmp_path / "found")])
    [found] = json.loads((tmp_path / "found").read_text()).values()
    assert found.pop("waits") == {}
    assert sum(part["launches"] for part in found.values()) < most
