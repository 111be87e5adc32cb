"""Attention with padded heads is the same attention."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from idol.model.flash import attend


@pytest.mark.parametrize("channels", [5, 40, 80, 160])
def test_padding_changes_nothing(channels: int) -> None:
    generator = torch.Generator().manual_seed(channels)

    def draw(length: int) -> torch.Tensor:
        x = torch.randn(2, 3, length, channels, generator=generator)
        return x.requires_grad_()

    found, expected = [], []
    queries, keys, values = draw(7), draw(9), draw(9)
    for results, multiple in ((expected, 1), (found, 64)):
        mixed = attend(queries, keys, values, multiple=multiple)
        results += [mixed, *torch.autograd.grad(mixed.square().sum(), (queries, keys, values))]
    torch.testing.assert_close(expected[0], F.scaled_dot_product_attention(queries, keys, values))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6 * float(b.detach().abs().max()))


def test_more_heads_than_one_launch_takes() -> None:
    x = torch.randn(1, 70_000, 2, 4)
    torch.testing.assert_close(attend(x, x, x), F.scaled_dot_product_attention(x, x, x))
