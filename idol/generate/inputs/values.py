"""What is given, once it is read: a person before a background, and a motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from shards.sample.skeleton import MIN_SCORE

__all__ = ["Motion", "Person"]


@dataclass(frozen=True, eq=False)
class Person:
    """Who is to move, and before what.

    `foreground`       (h, w, 3) uint8, the person's own square, a tenth around them.
    `foreground_mask`  (h, w) uint8, 255 where the person is.
    `background`       (H, W, 3) uint8, what the video is to show behind them.
    `background_mask`  (H, W) uint8, the hole: 255 where a person hides the background.
    `keypoints`        (N, 134, 3) float32, x, y in pixels of `background` and a score in [0, 1]:
                       the person as one photo shows them, or as several frames do; None where
                       nobody was looked for.
    `joints`           (18, 3) float32, of `COCO_18`: x, y in pixels of `foreground`, and 1 where a
                       joint is seen, else 0; None where it is not known where they are.
    `name`             of the file or clip; `info` what the report says of how it was read.
    """

    foreground: np.ndarray
    foreground_mask: np.ndarray
    background: np.ndarray
    background_mask: np.ndarray
    keypoints: np.ndarray | None
    name: str
    info: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    joints: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the background."""
        return self.background.shape[1], self.background.shape[0]


@dataclass(frozen=True, eq=False)
class Motion:
    """How they are to move: `keypoints` or, where only drawings are known, `skeletons`.

    `keypoints`  (F, 134, 3) float32, x, y in pixels of a picture of `size` (width, height) and a
                 score in [0, 1]; joints below `min_score` are not drawn.
    `skeletons`  (F, height, width, 3) uint8, drawn on black.
    `fps`        frames a second.
    `name`       of the file or clip; `info` what the report says of how it was read.
    `frames`     some frames of the driving video by number, (height, width, 3) uint8, to show.
    """

    keypoints: np.ndarray | None
    size: tuple[int, int]
    fps: float
    name: str
    skeletons: np.ndarray | None = None
    min_score: float = MIN_SCORE
    info: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    frames: Mapping[int, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        given = self.skeletons if self.keypoints is None else self.keypoints
        assert given is not None
        return len(given)
