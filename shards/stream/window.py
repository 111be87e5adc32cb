"""Which frames of a clip a sample takes."""

from __future__ import annotations

from shards.stream.random import Draws

__all__ = ["draw_window"]


def draw_window(draws: Draws | None, available: int, frames: int, max_step: int) -> range:
    """`frames` of a clip's `available` frames, evenly spaced, as positions in the clip.

    The step is drawn from 1 to `max_step`, or as far as the clip reaches, and then the start, from
    all that fit; without `draws` the clip's first frames are taken. A single frame may be any.
    """
    if draws is None:
        return range(frames)
    step = 1
    if frames > 1:
        step = draws.integer(1, min(max_step, (available - 1) // (frames - 1)))
    span = (frames - 1) * step + 1
    start = draws.integer(0, available - span)
    return range(start, start + span, step)
