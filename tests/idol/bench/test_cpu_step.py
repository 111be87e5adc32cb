"""The plain U-Nets beside which preset tiny is timed have as much to do."""

from __future__ import annotations

import pytest

from bench import cpu_step
from idol.config.model import StageName


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["image", "video"])
def test_steps_have_about_as_many_flops(stage: StageName) -> None:
    ours = cpu_step.ours(stage, 1)
    deeper, wider = cpu_step.peers(stage, 1)
    assert deeper.flops == pytest.approx(ours.flops, rel=0.1)
    assert deeper.parameters == pytest.approx(ours.parameters, rel=0.2)
    assert wider.flops == pytest.approx(ours.flops, abs=cpu_step.plain_flops(1, 1) / 2)
    for work in (ours, deeper, wider):
        work.step()
