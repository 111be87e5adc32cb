"""Depth of whole images: what networks that see the whole frame share as annotators."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from preprocess.annotators.scene import Scene
from preprocess.crop import Crop

__all__ = ["Estimate", "WholeFrameDepth", "cropped"]

# Frames (H, W, 3) uint8 RGB, all of one size -> (H, W) float32 each, smaller is nearer.
Estimate = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


class WholeFrameDepth:
    """Every pixel's depth, from a network that looks at the source's whole frames."""

    metres = False

    def __init__(self, label: str, unit: str, estimate: Estimate) -> None:
        self.label = label
        self.unit = unit
        self._estimate = estimate

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32, NaN where the crop reaches beyond the frame; masks do not matter."""
        return self.depths_of_each([scene], [masks])[0]

    def depths_of_each(
        self, scenes: Sequence[Scene], masks: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        found = iter(self._estimate([frame for scene in scenes for frame in scene.frames]))
        return [
            np.stack([cropped(next(found), scene.crop) for _ in scene.pictures]) for scene in scenes
        ]


def cropped(depth: np.ndarray, crop: Crop) -> np.ndarray:
    """(H, W) float32 of a frame -> (S, S), as the clip's images are cropped; NaN outside.

    Outside, where the image is black, nothing is known; the edge is not mixed with it.
    """
    height, width = depth.shape
    x0, y0, x1, y1 = crop.box
    inside = depth[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    beyond = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(beyond):
        inside = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE)
    # Linear, where images are enlarged with a cubic: it makes nothing nearer than it was.
    how = cv2.INTER_AREA if crop.side > crop.size else cv2.INTER_LINEAR
    square = cv2.resize(inside, (crop.size, crop.size), interpolation=how)
    scale = crop.side / crop.size
    centres = (np.arange(crop.size) + 0.5) * scale  # from the crop's corner, in source pixels
    beside = (centres + crop.x < 0) | (centres + crop.x > width)
    above = (centres + crop.y < 0) | (centres + crop.y > height)
    square[:, beside] = np.nan
    square[above] = np.nan
    return square
