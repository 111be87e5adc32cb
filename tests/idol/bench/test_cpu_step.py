"""The plain U-Net beside which preset tiny is timed has as much to do."""

from __future__ import annotations

import pytest

from bench import cpu_step


@pytest.mark.slow
def test_both_steps_have_about_as_many_flops() -> None:
    step, flops = cpu_step.ours("image", 1)
    plain, plain_flops = cpu_step.as_many(flops)
    assert plain_flops == pytest.approx(flops, abs=cpu_step.plain_flops(1) / 2)
    step(), plain()
