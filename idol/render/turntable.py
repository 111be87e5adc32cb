"""A video whose camera swings around the person while they move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from idol.mp4 import GENERATED, mp4_writer
from idol.render.relief import Relief

__all__ = ["path_of", "write_turntable"]

_RISE = 0.25  # of the swing: how far the camera rises and sinks meanwhile


def path_of(relief: Relief, swing: float, seconds: float) -> Iterator[tuple[int, float, float]]:
    """Of each picture the frame, and the camera's yaw and pitch in degrees.

    Whole swings, as many as the video is long, one at least: the video is repeated as often as it
    takes, and the first picture follows on the last one.
    """
    frames = len(relief.frames)
    one = max(2, round(seconds * relief.fps))
    total = one * max(1, round(frames / one))
    for index in range(total):
        turn = 2 * math.pi * index / one
        yield index % frames, swing * math.sin(turn), _RISE * swing * math.sin(2 * turn)


def write_turntable(
    path: Path,
    relief: Relief,
    *,
    swing: float,
    seconds: float,
    size: int,
    samples: int,
    depth_scale: float,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, object]:
    """Write the mp4; what the report says of it.

    Args:
        size: of the longer side, in pixels; both sides are even.
        on_frame: called with how many pictures are done, and of how many.
    """
    # Compiling takes seconds, and only this needs it.
    from idol.render.tracing import Tracer

    height, width = relief.frames.shape[1:3]
    width, height = (
        max(2, 2 * round(size * side / max(width, height) / 2)) for side in (width, height)
    )
    tracer = Tracer(relief, samples=samples, depth_scale=depth_scale)
    views = list(path_of(relief, swing, seconds))
    comment = GENERATED if relief.generated else None
    with mp4_writer(path, height, width, relief.fps, relief.name, comment) as add:
        for done, (frame, yaw, pitch) in enumerate(views, 1):
            picture: np.ndarray = tracer.draw(frame, yaw, pitch, width, height)
            add(picture)
            on_frame(done, len(views))
    return {
        "pictures": len(views),
        "size": [width, height],
        "degrees": swing,
        "video_shown": round(len(views) / len(relief.frames), 3),
    }
