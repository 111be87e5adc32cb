"""How fast a run says it goes."""

from __future__ import annotations

import pytest

from idol.train import monitor
from idol.train.monitor import Throughput


def test_the_first_step_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(monitor.time, "perf_counter", lambda: now[0])
    clock = Throughput()

    def step(seconds: float) -> float:
        now[0] += seconds
        return clock.tick()

    assert step(60) == 60
    assert not clock.is_known
    assert step(2) == 2  # what warmed up counts no more
    assert clock.is_known
    assert step(4) == pytest.approx(3)
    now[0] += 1000
    clock.pause()
    assert step(3) == pytest.approx(3)
    for _ in range(200):
        step(5)
    assert step(5) == pytest.approx(5, rel=1e-3)
