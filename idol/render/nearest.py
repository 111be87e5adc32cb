"""Of each pixel, the nearest one of those that are marked."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["nearest"]


def nearest(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, of each pixel, of the nearest one that is marked; some are."""
    _, labels = cv2.distanceTransformWithLabels(
        (~where).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(where)
    place = np.zeros(labels.max() + 1, np.int64)
    place[labels[rows, columns]] = np.arange(len(rows))
    found = place[labels]
    return rows[found], columns[found]
