"""What is rendered: the arrays of a video with depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from idol.render.errors import RenderError

__all__ = ["Footage", "Unit", "of_one_shape", "picked"]

Unit = Literal["relative", "metres"]


@dataclass(frozen=True, eq=False)
class Footage:
    """F frames of a video, and their depth.

    `frames`      (F, H, W, 3) uint8 RGB.
    `depth`       (F, h, w) float32, smaller is nearer, NaN where it is not known; of the frames'
                  shape, or smaller, or larger.
    `fps`         frames a second, above 0.
    `unit`        what depth is measured in: metres along the viewing axis, from the camera or from
                  another point, or nothing that is known.
    `mask`        (F, h', w') uint8, 255 where the person is; None where nobody says.
    `background`, `background_mask`
                  (H', W', 3) and (H', W') uint8: the place without the person, under the frames
                  pixel by pixel, and where it is not known (255); None where there is none.
    `surroundings`
                  (F, h, w) float32, in the unit of `depth`: depth of all that is seen, for the
                  place behind the person; None where there is none.
    `focal`, `centre`
                  of the camera, in pixels of the frames, whose centres are at integers; None where
                  unknown.
    `name`        of the video, for titles.
    `generated`   whether it is known to be generated; its renderings then say so.
    `told`        plain JSON of what was read, for the report.

    Raises RenderError, naming everything of another shape or dtype.
    """

    frames: np.ndarray
    depth: np.ndarray
    fps: float
    unit: Unit = "relative"
    mask: np.ndarray | None = None
    background: np.ndarray | None = None
    background_mask: np.ndarray | None = None
    surroundings: np.ndarray | None = None
    focal: float | None = None
    centre: tuple[float, float] | None = None
    name: str = "video"
    generated: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mistakes = []
        for name, kind, axes in (
            ("frames", np.uint8, 4),
            ("depth", np.float32, 3),
            ("mask", np.uint8, 3),
            ("background", np.uint8, 3),
            ("background_mask", np.uint8, 2),
            ("surroundings", np.float32, 3),
        ):
            array = getattr(self, name)
            if array is None:
                continue
            if array.dtype != kind or array.ndim != axes or not array.size:
                mistakes.append(
                    f"{name} is {array.dtype}{array.shape}, not {np.dtype(kind)} of {axes} axes"
                )
            elif name in ("depth", "mask", "surroundings") and len(array) != len(self.frames):
                mistakes.append(f"{name} has {len(array)} frames, and the video {len(self.frames)}")
        if not mistakes and self.frames.shape[-1] != 3:
            mistakes.append(f"frames have {self.frames.shape[-1]} channels, not 3")
        RenderError.raise_if_any(mistakes, f"{self.name} cannot be rendered")
        height, width = self.frames.shape[1:3]
        for name in ("depth", "mask", "background", "background_mask", "surroundings"):
            array = getattr(self, name)
            if array is None:
                continue
            h, w = array.shape[:2] if name.startswith("background") else array.shape[1:3]
            if not of_one_shape((h, w), (height, width)):
                mistakes.append(
                    f"{name} is {w}x{h}, of another shape than the video's {width}x{height}"
                )
        if not 0 < self.fps < float("inf"):
            mistakes.append(f"{self.fps} frames a second are not a rate")
        RenderError.raise_if_any(mistakes, f"{self.name} cannot be rendered")


def of_one_shape(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether pictures of (height, width, ...) are as wide for their height as each other.

    Within a pixel: sides that were halved are rounded.
    """
    return abs(a[0] * b[1] - a[1] * b[0]) <= max(*a[:2], *b[:2])


def picked(depth: np.ndarray, most: int) -> np.ndarray:
    """Depth (..., H, W) of a smaller grid, its longer side `most` at most: picked, not averaged,
    since a mean of near and far is neither."""
    height, width = depth.shape[-2:]
    factor = most / max(height, width)
    if factor >= 1:
        return depth
    rows, columns = (
        ((np.arange(n) + 0.5) * side / n).astype(int)
        for n, side in (
            (max(1, round(height * factor)), height),
            (max(1, round(width * factor)), width),
        )
    )
    return depth[..., rows[:, None], columns]
