"""Videos of any length: at every step the noise is predicted in overlapping windows and fused.

A window is what the model learnt, a clip of a few frames, and passes through all of it, temporal
convolutions included. Where windows overlap their predictions are averaged with weights that fall
towards a window's ends. A border of two windows is still a place where frames know less of each
other; so the grid of windows moves from step to step, and no place is always a border. There is
one window in memory at a time, whatever the length. Shape suffixes: see `idol.model.layout`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import Tensor

from idol.config.checks import ConfigError, at_least, mistakes_in

__all__ = ["Windows", "fuse", "grid", "weights"]

# The golden ratio's fraction: its multiples, modulo 1, never come near each other for long.
_GOLDEN = 0.6180339887498949


@dataclasses.dataclass(frozen=True)
class Windows:
    """How a video is cut into windows.

    Attributes:
        length: frames of a window; best what the model was trained on.
        overlap: frames that a window shares with the next; below `length`. Each frame passes
            through the model `length / (length - overlap)` times a step, about.
        shift: the grid moves from step to step.

    Raises:
        ConfigError: a number out of its range, or `overlap` not below `length`.
    """

    length: Annotated[int, at_least(1)] = 8
    overlap: Annotated[int, at_least(0)] = 4
    shift: bool = True

    def __post_init__(self) -> None:
        if mistakes := [f"windows: {name} {fault}" for name, fault in mistakes_in(self)]:
            raise ConfigError("; ".join(mistakes))
        if self.overlap >= self.length:
            raise ConfigError(
                f"windows of {self.length} frames cannot overlap by {self.overlap}: "
                f"take an overlap of {self.length - 1} at most"
            )

    @property
    def stride(self) -> int:
        """Frames from a window's first to the next one's, at least 1."""
        return self.length - self.overlap


def grid(frames: int, step: int, windows: Windows) -> list[tuple[int, int]]:
    """Windows of a denoising step as (first frame, frame after the last), in order.

    Every frame is in one at least. All windows are `windows.length` long, the first and the last
    ones too: they are moved inside, since a model of clips knows no shorter ones. A video that is
    no longer than a window is one window.

    Args:
        frames: of the video, at least 1.
        step: from 0; the grid begins at one of `windows.stride` places, a function of it alone.
    """
    if frames <= windows.length:
        return [(0, frames)]
    stride, last = windows.stride, frames - windows.length
    moved = int(stride * (step * _GOLDEN % 1)) if windows.shift else 0
    starts = range(moved - stride if moved else 0, last + stride, stride)
    inside = dict.fromkeys(min(max(start, 0), last) for start in starts)
    return [(start, start + windows.length) for start in inside]


def weights(length: int) -> Tensor:
    """How much each frame of a window counts: a pyramid, (length,) float32, its sum 1."""
    rising = torch.arange(1, length + 1, dtype=torch.float32)
    pyramid = torch.minimum(rising, rising.flip(0))
    return pyramid / pyramid.sum()


def fuse(
    predict_windows: Callable[[list[slice]], Sequence[Tensor]],
    latents_BMFCHW: Tensor,
    step: int,
    windows: Windows,
    *,
    at_once: int = 1,
) -> Tensor:
    """The noise predicted in a video at one step, shaped like its latents.

    Args:
        predict_windows: from slices of frames, all as long, to the noise predicted in each,
            (B, M, f, C, H, W). It is called until all windows of `grid` are there, in order.
        latents_BMFCHW: noisy latents of the whole video; only their shape and device are read.
        step: number of the denoising step, from 0.
        at_once: windows of a call, at most.

    Returns:
        Float32 where windows were fused; of a video in one window its prediction, untouched.
    """
    frames = latents_BMFCHW.shape[2]
    places = grid(frames, step, windows)
    if len(places) == 1:
        (whole,) = predict_windows([slice(0, frames)])
        return whole
    weights_F111 = weights(windows.length).to(latents_BMFCHW.device)[:, None, None, None]
    fused = torch.zeros(latents_BMFCHW.shape, dtype=torch.float32, device=latents_BMFCHW.device)
    total_F111 = weights_F111.new_zeros(frames, 1, 1, 1)
    for first in range(0, len(places), at_once):
        parts = [slice(*place) for place in places[first : first + at_once]]
        for part, predicted in zip(parts, predict_windows(parts), strict=True):
            fused[:, :, part] += predicted.float() * weights_F111
            total_F111[part] += weights_F111
    return fused.div_(total_F111)
