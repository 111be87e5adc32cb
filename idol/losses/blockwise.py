"""How far two softmax maps differ, and its gradient, for one block of the maps at a time.

Both consistency losses compare maps P = softmax(q k^T) of video and of depth. Whole maps are the
largest tensors of a training step, so the losses walk over blocks of query rows and add up; no
map outlives its block. This module is the arithmetic of one block, and the walk.

Shape suffixes: n maps (a head of an image, or a frame pair), R query rows of the block,
T targets (keys), D channels.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from idol.losses.totals import Total, total

__all__ = [
    "blocks",
    "compute_dtype",
    "half_logit_grads",
    "softmax_map",
    "sum_of_squares",
    "total_square",
    "without_autocast",
]

# Entries of a map held at once. 2^19 floats are two megabytes: the four buffers of a block stay
# in the last cache, and its products are large enough to run at full speed. An accelerator wants
# larger blocks, so that few kernels are launched.
_ENTRIES = {"cpu": 2**19}
_ENTRIES_ELSEWHERE = 2**24


# Eq. 4, and the cross-attention map of Eq. 6; the temperature is already in the queries.
def softmax_map(q_nRD: Tensor, k_nTD: Tensor) -> Tensor:
    """Return softmax(q k^T) over the targets, (n, R, T)."""
    return torch.bmm(q_nRD, k_nTD.transpose(1, 2)).softmax(dim=-1)


# The sum in Eq. 5 and the squared norm of Eq. 6, for a block of rows.
def sum_of_squares(
    video_q: Tensor, video_k: Tensor, depth_q: Tensor, depth_k: Tensor, averaged_heads: int = 1
) -> Total:
    """Return the sum of squared differences between the two maps of a block, in float64.

    Maps are averaged over runs of `averaged_heads` before they are compared.
    """
    difference_nRT = softmax_map(video_q, video_k).sub_(softmax_map(depth_q, depth_k))
    return total_square(_average(difference_nRT, averaged_heads))


def total_square(difference_nRT: Tensor) -> Total:
    """Return the sum of squares of a block: rows in their dtype, then all in float64."""
    return total(torch.linalg.vector_norm(difference_nRT, dim=-1).square_())


def half_logit_grads(
    video_q: Tensor, video_k: Tensor, depth_q: Tensor, depth_k: Tensor, averaged_heads: int = 1
) -> tuple[Total, Tensor, Tensor]:
    """Return `sum_of_squares`, half its gradient at q k^T of video, and minus that of depth.

    Gradients are (n, R, T). The factors 2 and -2 are the caller's: they cost nothing inside a
    matrix product.
    """
    video_map, depth_map = softmax_map(video_q, video_k), softmax_map(depth_q, depth_k)
    upstream_nRT = video_map - depth_map
    mean = _average(upstream_nRT, averaged_heads)
    square = total_square(mean)
    if averaged_heads > 1:
        upstream_nRT = (mean / averaged_heads).repeat_interleave(averaged_heads, dim=0)
    video_grad = _softmax_backward(video_map, video_map * upstream_nRT)
    return square, video_grad, _softmax_backward(depth_map, upstream_nRT.mul_(depth_map))


def blocks(
    maps: int, rows: int, entries_per_row: int, device: str
) -> Iterator[tuple[slice, slice]]:
    """Walk over (maps, rows) in blocks that fit the budget: many whole maps, or part of one."""
    rows_at_once = max(1, _ENTRIES.get(device, _ENTRIES_ELSEWHERE) // entries_per_row)
    maps_at_once = max(1, rows_at_once // rows)
    for first_map in range(0, maps, maps_at_once):
        for first_row in range(0, rows, min(rows, rows_at_once)):
            yield (
                slice(first_map, min(first_map + maps_at_once, maps)),
                slice(first_row, min(first_row + rows_at_once, rows)),
            )


def compute_dtype(x: Tensor) -> torch.dtype:
    """float32 for half-precision inputs, else the input's own: losses are never in half."""
    return torch.promote_types(x.dtype, torch.float32)


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """A context in which products are computed in the dtype of their operands."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _average(x_nRT: Tensor, heads: int) -> Tensor:
    return x_nRT if heads == 1 else x_nRT.unflatten(0, (-1, heads)).mean(dim=1)


def _softmax_backward(map_nRT: Tensor, weighted_nRT: Tensor) -> Tensor:
    """Gradient at the logits, from map times gradient at the map, which is overwritten."""
    total_nR1 = weighted_nRT.sum(dim=-1, keepdim=True)
    return weighted_nRT.addcmul_(map_nRT, total_nR1, value=-1)
