"""How much of the frame a tracked person covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from preprocess.annotators.lite.person import PersonFrame
from preprocess.crop import Box

__all__ = ["person_box", "person_boxes"]

VISIBLE = 0.5


def person_box(person: PersonFrame, width: int, height: int) -> Box:
    """x0, y0, x1, y1 in pixels of a (height, width) frame: mask and visible landmarks together.

    The mask alone would lose a hand that it misses; landmarks alone end at the eyes and wrists.
    """
    points = person.landmarks[person.landmarks[:, 3] >= VISIBLE, :2]
    mask = person.mask.values >= 0.5
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        corners = np.array([[x, y] for x in columns[[0, -1]] for y in rows[[0, -1]]], np.float64)
        to_frame = person.mask.region.to_frame(len(mask))
        points = np.concatenate([points, corners @ to_frame[:, :2].T + to_frame[:, 2]])
    if not len(points):
        points = person.landmarks[:, :2]
    points = np.clip(points, 0, (width, height))
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def person_boxes(
    people: Sequence[PersonFrame | None], frames: Sequence[np.ndarray]
) -> tuple[tuple[Box, ...], ...]:
    """The tracked person's box in each frame, (H, W, 3); none where there is nobody."""
    return tuple(
        () if person is None else (person_box(person, frame.shape[1], frame.shape[0]),)
        for person, frame in zip(people, frames, strict=True)
    )
