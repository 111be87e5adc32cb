"""The person's mask as the network gives it: a small picture of a region of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.annotators.lite.regions import Region

__all__ = ["RegionMask"]


@dataclass(frozen=True, eq=False)
class RegionMask:
    """`values`, (256, 256) float32 in [0, 1], 1 where the person is, over the square `region`."""

    values: np.ndarray
    region: Region

    def on_frame(self, width: int, height: int) -> np.ndarray:
        """The mask over the whole frame of `width` x `height` pixels: (height, width) float32."""
        return self.warped(np.eye(2, 3), width, height)

    def warped(self, affine: np.ndarray, width: int, height: int) -> np.ndarray:
        """The mask over any picture made from the frame: (height, width) float32 in [0, 1].

        `affine` (2, 3) takes the frame's pixels to the picture's, as `cv2.warpAffine` does. Zero
        outside the region. Bilinear: a picture much smaller than the region will alias.
        """
        side = self.values.shape[0]
        onto = np.vstack([affine, (0.0, 0.0, 1.0)]) @ np.vstack(
            [self.region.to_frame(side), (0.0, 0.0, 1.0)]
        )
        return cv2.warpAffine(self.values, onto[:2], (width, height), flags=cv2.INTER_LINEAR)
