"""The motion consistency loss, Eq. 3-5, without the (HW)^2 cost volumes in memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from idol.config.losses import MotionDivisor, MotionReduction
from idol.losses.blockwise import (
    blocks,
    compute_dtype,
    half_logit_grads,
    sum_of_squares,
    without_autocast,
)
from idol.losses.totals import Total, scalar

__all__ = ["motion_consistency"]

# As torch's cosine similarity: a zero vector has no direction and similarity zero to all.
_NORM_EPS = 1e-12

# Queries and keys of video, then of depth.
_Operands = tuple[Tensor, Tensor, Tensor, Tensor]


# Eq. 3-5.
def motion_consistency(
    video_features: Tensor,
    depth_features: Tensor,
    temperature: float,
    *,
    reduction: MotionReduction = "mean",
    divisor: MotionDivisor = "pairs",
) -> Tensor:
    """Mean squared difference between the motion fields of video and depth.

    The motion field of a frame is, for each position, the softmax over all positions of the next
    frame of the cosine similarity divided by `temperature`.

    Args:
        video_features, depth_features: (batch, frames, height, width, channels), 2 frames or more.
        temperature: tau of Eq. 4, above 0; the paper's is 1/sqrt(channels).
        reduction: "mean" over clips, frame pairs, sources and targets, which is at most
            2/(height * width); "sum_targets" sums over targets instead.
        divisor: what the sum over frame pairs is divided by: "pairs", L - 1 for L frames, their
            mean; or "frames", L, as Eq. 5 is printed although there are L - 1 pairs.

    Returns:
        A scalar in float32 (float64 for float64 inputs). Gradients flow into both inputs. Memory
        beyond inputs and gradients is a few blocks of the maps, however many frames there are.

    Raises:
        ValueError: shapes differ or are not as above, there is one frame only, or the
            temperature, the reduction or the divisor is invalid.
    """
    if video_features.shape != depth_features.shape or video_features.ndim != 5:
        raise ValueError(
            "features must be (batch, frames, height, width, channels), alike for both: got "
            f"{tuple(video_features.shape)} and {tuple(depth_features.shape)}"
        )
    clips, frames, height, width, _ = video_features.shape
    if frames < 2:
        raise ValueError("motion needs two frames or more; the one-frame stages have no such loss")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    if reduction not in ("mean", "sum_targets"):
        raise ValueError(f"reduction={reduction!r} is neither 'mean' nor 'sum_targets'")
    if divisor not in ("pairs", "frames"):
        raise ValueError(f"divisor={divisor!r} is neither 'pairs' nor 'frames'")
    positions = height * width
    divided_by = frames - 1 if divisor == "pairs" else frames
    count = clips * divided_by * positions * (positions if reduction == "mean" else 1)
    streams = video_features.flatten(2, 3), depth_features.flatten(2, 3)
    with_grads = torch.is_grad_enabled() and any(x.requires_grad for x in streams)
    total = _MotionSumOfSquares.apply(*streams, 1.0 / temperature, with_grads)
    return total / count


class _MotionSumOfSquares(torch.autograd.Function):
    """The sum in Eq. 5 over everything, of (B, F, L, C) features.

    Here the matrix products dominate, so the gradient, which the scalar loss only scales, is
    taken while a block's maps exist: six products a block, as in the whole computation, and not
    eight. The first backward hands it over; another one (`retain_graph`) recomputes it.
    """

    @staticmethod
    def forward(
        ctx: Any, video: Tensor, depth: Tensor, sharpness: float, with_grads: bool
    ) -> Tensor:
        ctx.save_for_backward(video, depth)
        ctx.sharpness = sharpness
        total, ctx.grads = _walk([video, depth], sharpness, with_grads)
        return scalar(total, video, compute_dtype(video))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor, Tensor, None, None]:
        streams = ctx.saved_tensors
        video_grad, depth_grad = ctx.grads or _walk(streams, ctx.sharpness, with_grads=True)[1]
        ctx.grads = []
        return (
            video_grad.mul_(grad_total).to(streams[0].dtype),
            depth_grad.mul_(grad_total).to(streams[1].dtype),
            None,
            None,
        )


def _walk(
    streams: Sequence[Tensor], sharpness: float, with_grads: bool
) -> tuple[Total, list[Tensor]]:
    """Return the sum in Eq. 5 and, if asked for, its gradients at video and depth features."""
    total: Total = 0.0
    first = streams[0]
    clips, images, positions, channels = first.shape
    # Of both streams together, that little is launched where launching takes the time.
    grads_SBFLC = first.new_zeros(2 * with_grads, *first.shape, dtype=compute_dtype(first))
    with without_autocast(first.device.type):
        for clip, frames, blocks_of_rows in _chunks(first):
            units_SFLC, _ = _unit(torch.stack([stream[clip, frames] for stream in streams]))
            for rows in blocks_of_rows:
                operands = _queries_keys(units_SFLC[0], units_SFLC[1], rows, sharpness)
                if with_grads:
                    sums = [*grads_SBFLC[:, clip, frames]]
                    total += _add_unit_grads(sums, operands, rows, sharpness)
                else:
                    total += sum_of_squares(*operands)
                del operands
            del units_SFLC  # before the next run of frames makes its own
        if with_grads:
            for clip in range(clips):
                for part in blocks(images, positions, 2 * channels, first.device.type):
                    features = torch.stack([stream[clip][part] for stream in streams])
                    _unit_backward_(features, grads_SBFLC[:, clip][:, *part])
    return total, [*grads_SBFLC]


def _add_unit_grads(
    sums: list[Tensor], operands: _Operands, rows: slice, sharpness: float
) -> Total:
    """Add a block's gradients at the normalised (F, L, C) features to `sums`; return its sum."""
    total, *logits = half_logit_grads(*operands)
    for i, factor in enumerate((2.0, -2.0)):
        queries, keys = operands[2 * i : 2 * i + 2]
        sums[i][:-1, rows].baddbmm_(logits[i], keys, alpha=factor * sharpness)
        sums[i][1:].baddbmm_(logits[i].transpose(1, 2), queries, alpha=factor)
    return total


def _chunks(features_BFLC: Tensor) -> Iterator[tuple[int, slice, list[slice]]]:
    """Yield (clip, the frames of a run of frame pairs, the row blocks to walk through)."""
    clips, frames, positions, _ = features_BFLC.shape
    runs: dict[tuple[int, int], list[slice]] = {}
    for maps, rows in blocks(frames - 1, positions, positions, features_BFLC.device.type):
        runs.setdefault((maps.start, maps.stop), []).append(rows)
    for clip in range(clips):
        for (start, stop), walk in runs.items():
            yield clip, slice(start, stop + 1), walk


# Eq. 3's normalised vectors f.
def _unit(features_SFLC: Tensor) -> tuple[Tensor, Tensor]:
    features_SFLC = features_SFLC.to(compute_dtype(features_SFLC))
    norm_SFL1 = torch.linalg.vector_norm(features_SFLC, dim=-1, keepdim=True)
    return features_SFLC / norm_SFL1.clamp_min(_NORM_EPS), norm_SFL1


def _unit_backward_(features_SFLC: Tensor, grad_SFLC: Tensor) -> None:
    """Take a gradient through `_unit`, in place: what lies along a vector does not turn it."""
    unit_SFLC, norm_SFL1 = _unit(features_SFLC)
    along_SFL1 = (grad_SFLC * unit_SFLC).sum(dim=-1, keepdim=True)
    along_SFL1.masked_fill_(norm_SFL1 < _NORM_EPS, 0)
    grad_SFLC.addcmul_(unit_SFLC, along_SFL1, value=-1).div_(norm_SFL1.clamp_min(_NORM_EPS))


def _queries_keys(video_FLC: Tensor, depth_FLC: Tensor, rows: slice, sharpness: float) -> _Operands:
    """Rows of each frame, divided by the temperature, and all of the next: video, then depth."""
    return (
        video_FLC[:-1, rows] * sharpness,
        video_FLC[1:],
        depth_FLC[:-1, rows] * sharpness,
        depth_FLC[1:],
    )
