"""In which precision a machine computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from idol.precision import bf16_is_slow

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("able", "slow"),
    [
        ({"architecture": "x86_64", "avx2": True}, True),
        ({"architecture": "x86_64", "avx512_bf16": True}, False),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, False),
        ({"architecture": "aarch64", "bf16": False}, False),  # nothing was measured there
        ({}, False),
    ],
)
def test_bf16_is_slow_where_a_cpu_has_no_arithmetic_for_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, Any], slow: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert bf16_is_slow(CPU) is slow
    assert not bf16_is_slow(GPU)
