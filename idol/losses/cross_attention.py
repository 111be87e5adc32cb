"""The cross-attention map consistency loss, Eq. 6, without the maps in memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from idol.losses.blockwise import (
    blocks,
    compute_dtype,
    half_logit_grads,
    sum_of_squares,
    without_autocast,
)
from idol.losses.totals import Total, scalar

__all__ = ["cross_attention_consistency"]


# Eq. 6.
def cross_attention_consistency(
    video_queries: Tensor,
    video_keys: Tensor,
    depth_queries: Tensor,
    depth_keys: Tensor,
    *,
    average_heads: bool = False,
) -> Tensor:
    """Mean squared difference between the cross-attention maps of video and depth.

    A map is softmax(q k^T / sqrt(D)) over the foreground tokens, as the attention itself uses it.

    Args:
        video_queries, depth_queries: (images, heads, positions, D).
        video_keys, depth_keys: (images, heads, tokens, D).
        average_heads: compare the averages over heads; the default compares head by head.

    Returns:
        A scalar in float32 (float64 for float64 inputs). Gradients flow into all four inputs.

    Raises:
        ValueError: shapes differ between the streams or do not fit together.
    """
    if (
        video_queries.ndim != 4
        or video_queries.shape != depth_queries.shape
        or video_keys.shape != depth_keys.shape
        or video_queries.shape[:2] != video_keys.shape[:2]
        or video_queries.shape[3:] != video_keys.shape[3:]
    ):
        raise ValueError(
            "queries must be (images, heads, positions, D) and keys (images, heads, tokens, D), "
            f"alike for both streams: got {tuple(video_queries.shape)}, "
            f"{tuple(video_keys.shape)}, {tuple(depth_queries.shape)}, {tuple(depth_keys.shape)}"
        )
    images, heads, positions, channels = video_queries.shape
    count = images * positions * video_keys.shape[2] * (1 if average_heads else heads)
    total = _MapSumOfSquares.apply(
        video_queries,
        video_keys,
        depth_queries,
        depth_keys,
        channels**-0.5,
        heads if average_heads else 1,
    )
    return total / count


class _MapSumOfSquares(torch.autograd.Function):
    """The squared norm of Eq. 6 over everything."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        inputs, (scale, averaged_heads) = args[:4], args[4:]
        ctx.save_for_backward(*inputs)
        ctx.scale, ctx.averaged_heads = scale, averaged_heads
        total: Total = 0.0
        with without_autocast(inputs[0].device.type):
            for maps, rows in _walk(inputs[0], inputs[1]):
                total += sum_of_squares(*_block(inputs, maps, rows, scale), averaged_heads)
        return scalar(total, inputs[0], compute_dtype(inputs[0]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        _, heads, positions, _ = inputs[0].shape
        scaled = grad_total * ctx.scale
        query_factors = 2.0 * scaled, -2.0 * scaled
        grads = [torch.empty_like(x) for x in inputs]
        key_sums: list[Tensor] = []
        with without_autocast(inputs[0].device.type):
            for maps, rows in _walk(inputs[0], inputs[1]):
                operands = _block(inputs, maps, rows, ctx.scale)
                if rows.start == 0:
                    key_sums = [torch.zeros_like(operands[1]), torch.zeros_like(operands[3])]
                _, *logits = half_logit_grads(*operands, ctx.averaged_heads)
                for i, factor in enumerate((2.0, -2.0)):
                    queries, keys = operands[2 * i : 2 * i + 2]
                    key_sums[i].baddbmm_(logits[i].transpose(1, 2), queries, alpha=factor)
                    query_grad = torch.bmm(logits[i], keys).mul_(query_factors[i])
                    grads[2 * i][maps, :, rows] = query_grad.unflatten(0, (-1, heads))
                    if rows.stop == positions:
                        key_grad = key_sums[i].mul_(grad_total)
                        grads[2 * i + 1][maps] = key_grad.unflatten(0, (-1, heads))
                del operands, logits, queries, keys, query_grad  # before the next block's own
        return *grads, None, None


def _walk(queries_NhLD: Tensor, keys_NhTD: Tensor) -> Iterator[tuple[slice, slice]]:
    images, heads, positions, _ = queries_NhLD.shape
    return blocks(images, positions, heads * keys_NhTD.shape[2], queries_NhLD.device.type)


def _block(
    inputs: tuple[Tensor, ...], maps: slice, rows: slice, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A block's queries, scaled, and keys, (images * heads, ...), in the loss's own dtype."""
    video_q, video_k, depth_q, depth_k = inputs
    dtype = compute_dtype(video_q)

    def laid_out(x: Tensor) -> Tensor:
        # Cast and laid out at once.
        return x.to(dtype, memory_format=torch.contiguous_format).flatten(0, 1)

    return (
        laid_out(video_q[maps, :, rows]) * scale,
        laid_out(video_k[maps]),
        laid_out(depth_q[maps, :, rows]) * scale,
        laid_out(depth_k[maps]),
    )
