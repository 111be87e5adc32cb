"""The motion consistency loss, Eq. 3-5, without the (HW)^2 cost volumes in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from idol.losses.blockwise import blocks, compute_dtype, half_logit_grads, sum_of_squares

MotionReduction = Literal["mean", "sum_targets"]

# As torch's cosine similarity: a zero vector has no direction and similarity zero to all.
_NORM_EPS = 1e-12


# Eq. 3-5.
def motion_consistency(
    video_features: Tensor,
    depth_features: Tensor,
    temperature: float,
    *,
    reduction: MotionReduction = "mean",
) -> Tensor:
    """Mean squared difference between the motion fields of video and depth.

    The motion field of a frame is, for each position, the softmax over all positions of the next
    frame of the cosine similarity divided by `temperature`.

    Args:
        video_features, depth_features: (batch, frames, height, width, channels), 2 frames or more.
        temperature: tau of Eq. 4, above 0; the paper's is 1/sqrt(channels).
        reduction: "mean" over clips, frame pairs, sources and targets, literally Eq. 5, which is
            at most 2/(height * width); "sum_targets" sums over targets instead.

    Returns:
        A scalar in float32 (float64 for float64 inputs). Gradients flow into both inputs. Memory
        beyond inputs and gradients is a few blocks of the maps, however many frames there are.

    Raises:
        ValueError: shapes differ or are not as above, there is one frame only, or the
            temperature or the reduction is invalid.
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
    positions = height * width
    count = clips * (frames - 1) * positions * (positions if reduction == "mean" else 1)
    total = _MotionSumOfSquares.apply(
        video_features.flatten(2, 3), depth_features.flatten(2, 3), 1.0 / temperature
    )
    return total / count


class _MotionSumOfSquares(torch.autograd.Function):
    """The sum in Eq. 5 over everything, of (B, F, L, C) features."""

    @staticmethod
    def forward(ctx: Any, video: Tensor, depth: Tensor, sharpness: float) -> Tensor:
        ctx.save_for_backward(video, depth)
        ctx.sharpness = sharpness
        total = torch.zeros((), dtype=torch.float64, device=video.device)
        with torch.autocast(video.device.type, enabled=False):
            for clip, frames, walk in _chunks(video):
                units = _unit(video[clip, frames])[0], _unit(depth[clip, frames])[0]
                for rows in walk:
                    total += sum_of_squares(*_queries_keys(*units, rows, sharpness))
        return total.to(compute_dtype(video))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor, Tensor, None]:
        streams: tuple[Tensor, Tensor] = ctx.saved_tensors
        sharpness: float = ctx.sharpness
        grads = torch.zeros_like(streams[0]), torch.zeros_like(streams[1])
        with torch.autocast(grads[0].device.type, enabled=False):
            for clip in range(len(grads[0])):
                # float32 gradients are summed in place; half-precision ones beside, one clip.
                sums = [grad[clip].to(compute_dtype(grad)) for grad in grads]
                for _, frames, walk in _chunks(streams[0][clip : clip + 1]):
                    _add_unit_grads(
                        [stream[clip, frames] for stream in streams],
                        [unit_grad[frames] for unit_grad in sums],
                        walk,
                        sharpness,
                    )
                for stream, grad, unit_grad in zip(streams, grads, sums, strict=True):
                    for frame in range(len(unit_grad)):
                        unit_grad[frame].mul_(grad_total)
                        grad[clip, frame] = _unit_backward(stream[clip, frame], unit_grad[frame])
        return *grads, None


def _add_unit_grads(
    streams: list[Tensor], sums: list[Tensor], walk: list[slice], sharpness: float
) -> None:
    """Add the gradients at the normalised (F, L, C) features of video and depth to `sums`."""
    units = [_unit(features)[0] for features in streams]
    for rows in walk:
        operands = _queries_keys(units[0], units[1], rows, sharpness)
        logits = half_logit_grads(*operands)
        for i, factor in enumerate((2.0, -2.0)):
            queries, keys = operands[2 * i : 2 * i + 2]
            sums[i][:-1, rows].baddbmm_(logits[i], keys, alpha=factor * sharpness)
            sums[i][1:].baddbmm_(logits[i].transpose(1, 2), queries, alpha=factor)
        del operands, logits, queries, keys  # before the next block makes its own


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
def _unit(features_FLC: Tensor) -> tuple[Tensor, Tensor]:
    features_FLC = features_FLC.to(compute_dtype(features_FLC))
    norm_FL1 = torch.linalg.vector_norm(features_FLC, dim=-1, keepdim=True)
    return features_FLC / norm_FL1.clamp_min(_NORM_EPS), norm_FL1


def _unit_backward(features_LC: Tensor, grad_LC: Tensor) -> Tensor:
    """Gradient through `_unit`: what lies along a vector does not turn it. Overwrites `grad`."""
    unit_LC, norm_L1 = _unit(features_LC)
    along_L1 = (grad_LC * unit_LC).sum(dim=-1, keepdim=True).masked_fill_(norm_L1 < _NORM_EPS, 0)
    return grad_LC.addcmul_(unit_LC, along_L1, value=-1).div_(norm_L1.clamp_min(_NORM_EPS))


def _queries_keys(
    video_FLC: Tensor, depth_FLC: Tensor, rows: slice, sharpness: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of each frame, divided by the temperature, and all of the next: video, then depth."""
    return (
        video_FLC[:-1, rows] * sharpness,
        video_FLC[1:],
        depth_FLC[:-1, rows] * sharpness,
        depth_FLC[1:],
    )
