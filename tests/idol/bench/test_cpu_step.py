"""The plain U-Net beside which preset tiny is timed has as much to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "bench_cpu_step", Path(__file__).parents[3] / "bench/cpu_step.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
cpu_step: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cpu_step)


@pytest.mark.slow
def test_both_steps_have_about_as_many_flops() -> None:
    step, flops = cpu_step.ours("image", 1)
    plain, plain_flops = cpu_step.as_many(flops)
    assert plain_flops == pytest.approx(flops, abs=cpu_step.plain_flops(1) / 2)
    step(), plain()
