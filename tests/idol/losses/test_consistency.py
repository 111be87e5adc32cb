"""The consistency losses against brute force, gradcheck and the literal equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from idol.losses import blockwise, cross_attention_consistency, literal, motion_consistency
from idol.losses.totals import has_float64

Tensor = torch.Tensor


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()


def loop_motion_field(features: Tensor, clip: int, l: int, tau: float) -> dict[tuple, float]:  # noqa: E741
    """Eq. 3 and 4, index by index: u[i, j, h, k] of frames l and l + 1."""
    _, _, height, width, _ = features.shape
    field = {}
    for i in range(height):
        for j in range(width):
            exps = {}
            for h in range(height):
                for k in range(width):
                    here, there = features[clip, l, i, j], features[clip, l + 1, h, k]
                    norms = math.sqrt(float(here @ here)) * math.sqrt(float(there @ there))
                    exps[h, k] = math.exp(float(here @ there) / norms / tau)
            total = sum(exps.values())
            field.update({(i, j, h, k): value / total for (h, k), value in exps.items()})
    return field


def loop_motion_loss(video: Tensor, depth: Tensor, tau: float) -> float:
    """Eq. 5, index by index, averaged over clips."""
    video, depth = video.detach(), depth.detach()
    clips, frames, height, width, _ = video.shape
    total = 0.0
    for clip in range(clips):
        for l in range(frames - 1):  # noqa: E741
            u_v = loop_motion_field(video, clip, l, tau)
            u_d = loop_motion_field(depth, clip, l, tau)
            total += sum((u_v[at] - u_d[at]) ** 2 for at in u_v)
    return total / (clips * (frames - 1) * height * width * height * width)


def loop_map(q: Tensor, k: Tensor, n: int, head: int, position: int) -> list[float]:
    exps = []
    for token in range(k.shape[2]):
        dot = sum(float(q[n, head, position, c] * k[n, head, token, c]) for c in range(q.shape[3]))
        exps.append(math.exp(dot / math.sqrt(q.shape[3])))
    return [value / sum(exps) for value in exps]


def loop_cross_attention_loss(q_v: Tensor, k_v: Tensor, q_d: Tensor, k_d: Tensor) -> float:
    """Eq. 6, index by index, as a mean."""
    q_v, k_v, q_d, k_d = (x.detach() for x in (q_v, k_v, q_d, k_d))
    total, count = 0.0, 0
    for n in range(q_v.shape[0]):
        for head in range(q_v.shape[1]):
            for position in range(q_v.shape[2]):
                m_v = loop_map(q_v, k_v, n, head, position)
                m_d = loop_map(q_d, k_d, n, head, position)
                total += sum((a - b) ** 2 for a, b in zip(m_v, m_d, strict=True))
                count += len(m_v)
    return total / count


def attention_inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    queries, keys = (2, 3, 6, 4), (2, 3, 5, 4)
    shapes = (queries, keys, queries, keys)
    return tuple(draw(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes))


@pytest.fixture(params=[7, 64, 2**19], ids=["rows", "maps", "whole"])
def block_entries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a row, of some rows or maps, and of everything at once."""
    monkeypatch.setitem(blockwise._ENTRIES, "cpu", request.param)


@pytest.mark.usefixtures("block_entries")
def test_motion_loss_is_equations_3_to_5() -> None:
    video, depth = draw(2, 3, 2, 3, 4, seed=0), draw(2, 3, 2, 3, 4, seed=1)
    found = motion_consistency(video, depth, 0.3)
    assert float(found.detach()) == pytest.approx(loop_motion_loss(video, depth, 0.3), rel=1e-12)


@pytest.mark.usefixtures("block_entries")
def test_cross_attention_loss_is_equation_6() -> None:
    inputs = attention_inputs()
    found = cross_attention_consistency(*inputs)
    assert float(found.detach()) == pytest.approx(loop_cross_attention_loss(*inputs), rel=1e-12)


@pytest.mark.usefixtures("block_entries")
@pytest.mark.parametrize("reduction", ["mean", pytest.param("sum_targets", marks=pytest.mark.slow)])
def test_motion_gradient(reduction: Any) -> None:
    video, depth = draw(2, 2, 2, 2, 3, seed=0), draw(2, 2, 2, 2, 3, seed=1)
    assert torch.autograd.gradcheck(
        lambda v, d: motion_consistency(v, d, 0.3, reduction=reduction), (video, depth)
    )


@pytest.mark.usefixtures("block_entries")
@pytest.mark.parametrize("average_heads", [False, True])
def test_cross_attention_gradient(average_heads: bool) -> None:
    assert torch.autograd.gradcheck(
        lambda *x: cross_attention_consistency(*x, average_heads=average_heads),
        attention_inputs(),
    )


def gradients(loss: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16, 40), (3, 4, 4, 4, 96)])
def test_motion_equals_the_literal_version_to_float32_rounding(shape: tuple[int, ...]) -> None:
    video, depth = (draw(*shape, seed=s, dtype=torch.float32) for s in (0, 1))
    tau = shape[-1] ** -0.5
    ours, naive = (
        motion_consistency(video, depth, tau),
        literal.motion_consistency(video, depth, tau),
    )
    torch.testing.assert_close(ours, naive, rtol=2e-6, atol=0)
    pairs = zip(gradients(ours, (video, depth)), gradients(naive, (video, depth)), strict=True)
    for found, expected in pairs:
        assert (found - expected).norm() / expected.norm() < 5e-6


def test_cross_attention_equals_the_literal_version_to_float32_rounding() -> None:
    shapes = ((3, 8, 256, 40), (3, 8, 257, 40)) * 2
    inputs = tuple(draw(*s, seed=i, dtype=torch.float32) for i, s in enumerate(shapes))
    ours, naive = cross_attention_consistency(*inputs), literal.cross_attention_consistency(*inputs)
    torch.testing.assert_close(ours, naive, rtol=2e-6, atol=0)
    for found, expected in zip(gradients(ours, inputs), gradients(naive, inputs), strict=True):
        assert (found - expected).norm() / expected.norm() < 5e-6


def test_averaged_heads_compare_mean_maps() -> None:
    q_v, k_v, q_d, k_d = attention_inputs()
    mean_v, mean_d = (literal.attention_map(q, k).mean(1) for q, k in ((q_v, k_v), (q_d, k_d)))
    expected = (mean_v - mean_d).square().mean()
    found = cross_attention_consistency(q_v, k_v, q_d, k_d, average_heads=True)
    torch.testing.assert_close(found, expected)


def test_sum_over_targets_is_the_mean_times_positions() -> None:
    video, depth = draw(1, 3, 2, 3, 4, seed=0), draw(1, 3, 2, 3, 4, seed=1)
    mean = motion_consistency(video, depth, 0.3)
    torch.testing.assert_close(
        motion_consistency(video, depth, 0.3, reduction="sum_targets"), mean * 6
    )


def test_the_printed_divisor_counts_frames_where_there_are_pairs() -> None:
    video, depth = draw(1, 3, 2, 3, 4, seed=0), draw(1, 3, 2, 3, 4, seed=1)
    mean = motion_consistency(video, depth, 0.3)  # of two pairs
    printed = motion_consistency(video, depth, 0.3, divisor="frames")
    torch.testing.assert_close(printed, mean * 2 / 3)
    with pytest.raises(ValueError, match="neither 'pairs' nor 'frames'"):
        motion_consistency(video, depth, 0.3, divisor="clips")  # type: ignore[arg-type]


class _NoFloat64(TorchDispatchMode):
    """A device without float64, such as Apple's GPUs: whatever would make one raises."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.dtype == torch.float64:
                raise TypeError("the device has no float64")
        return result


@pytest.mark.usefixtures("block_entries")
def test_a_device_without_float64_gives_the_same_losses_and_gradients() -> None:
    motion = tuple(draw(2, 3, 4, 4, 8, seed=s, dtype=torch.float32) for s in (0, 1))
    maps = tuple(x.detach().float().requires_grad_() for x in attention_inputs())

    def found() -> tuple[Tensor, ...]:
        losses = motion_consistency(*motion, 0.3), cross_attention_consistency(*maps)
        evaluated = motion_consistency(*(x.detach() for x in motion), 0.3)
        grads = *gradients(losses[0], motion), *gradients(losses[1], maps)
        return *losses, evaluated, *grads

    expected = found()
    has_float64.cache_clear()
    try:
        with _NoFloat64():
            assert not has_float64("cpu")
            there = found()
    finally:
        has_float64.cache_clear()
    for ours, theirs in zip(there, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_the_mean_is_at_most_two_over_positions() -> None:
    """Video stays, depth swaps its two positions, and both are certain of it."""
    video = torch.eye(2, dtype=torch.float64).reshape(1, 1, 1, 2, 2).expand(1, 2, 1, 2, 2)
    depth = torch.stack([video[:, 0], video[:, 0].flip(2)], dim=1)
    assert float(motion_consistency(video, depth, 1e-3)) == pytest.approx(2 / 2)


def test_equal_streams_have_no_loss_and_no_gradient() -> None:
    video = draw(1, 3, 2, 3, 4, seed=0)
    depth = video.detach().clone().requires_grad_()
    loss = motion_consistency(video, depth, 0.5)
    loss.backward()
    assert loss == 0
    assert video.grad.abs().max() == depth.grad.abs().max() == 0


def test_length_of_a_feature_does_not_count() -> None:
    video, depth = draw(1, 2, 2, 3, 4, seed=0), draw(1, 2, 2, 3, 4, seed=1)
    torch.testing.assert_close(
        motion_consistency(video * 3, depth / 7, 0.5), motion_consistency(video, depth, 0.5)
    )


def test_zero_features_give_finite_gradients() -> None:
    video, depth = draw(1, 2, 2, 2, 3, seed=0), draw(1, 2, 2, 2, 3, seed=1)
    video.data[0, 0, 0, 0] = 0
    motion_consistency(video, depth, 0.5).backward()
    assert torch.isfinite(video.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_computed_in_float32(dtype: torch.dtype) -> None:
    half = [draw(2, 3, 4, 4, 8, seed=s, dtype=torch.float32).detach().to(dtype) for s in (0, 1)]
    half = [x.requires_grad_() for x in half]
    full = [x.detach().float().requires_grad_() for x in half]
    scale = 1e4  # as a gradient scaler does: fp16 gradients of a mean would underflow
    with torch.autocast("cpu", torch.bfloat16):
        ours = motion_consistency(half[0], half[1], 0.35)
    exact = motion_consistency(full[0], full[1], 0.35)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, exact)
    (ours * scale).backward()
    (exact * scale).backward()
    assert half[0].grad.dtype == dtype
    torch.testing.assert_close(half[0].grad.float(), full[0].grad, rtol=1e-2, atol=1e-4)


def test_views_and_strides_do_not_matter() -> None:
    """Features reach the losses as views of (N, L, C) and transposed heads."""
    both = draw(2, 2, 3, 2, 2, 4, seed=0)
    video, depth = both.unbind(1)
    expected = motion_consistency(video.detach().clone(), depth.detach().clone(), 0.4)
    torch.testing.assert_close(motion_consistency(video, depth, 0.4), expected.detach())
    inputs = attention_inputs()
    strided = tuple(x.detach().transpose(1, 2).contiguous().transpose(1, 2) for x in inputs)
    torch.testing.assert_close(
        cross_attention_consistency(*strided), cross_attention_consistency(*inputs)
    )


@pytest.mark.parametrize(
    ("shape", "tau", "reduction", "reason"),
    [
        ((1, 2, 2, 4), 0.5, "mean", "must be"),
        ((1, 1, 2, 2, 4), 0.5, "mean", "two frames or more"),
        ((1, 2, 2, 2, 4), 0.0, "mean", "temperature must be above 0"),
        ((1, 2, 2, 2, 4), 0.5, "sum", "neither 'mean' nor 'sum_targets'"),
    ],
)
def test_motion_refuses(shape: tuple, tau: float, reduction: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        motion_consistency(torch.ones(shape), torch.ones(shape), tau, reduction=reduction)


def test_cross_attention_refuses_streams_that_differ() -> None:
    q_v, k_v, q_d, k_d = attention_inputs()
    with pytest.raises(ValueError, match="alike for both streams"):
        cross_attention_consistency(q_v, k_v, q_d[:, :, 1:], k_d)


def test_no_tensor_is_as_large_as_a_map() -> None:
    """The largest tensor saved or made is a block, whatever the map's size."""
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            sizes.extend(x.numel() for x in (result,) if isinstance(x, Tensor))
            return result

    video, depth = (draw(1, 3, 32, 32, 4, seed=s, dtype=torch.float32) for s in (0, 1))
    with Watch():
        motion_consistency(video, depth, 0.5).backward()
    assert max(sizes) <= 2**19 < 1024**2


def test_a_second_backward_recomputes_the_same_gradient() -> None:
    video, depth = draw(2, 3, 2, 3, 4, seed=0), draw(2, 3, 2, 3, 4, seed=1)
    loss = motion_consistency(video, depth, 0.3)
    first = torch.autograd.grad(loss, (video, depth), retain_graph=True)
    second = torch.autograd.grad(3 * loss, (video, depth))
    for once, thrice in zip(first, second, strict=True):
        torch.testing.assert_close(3 * once, thrice)
