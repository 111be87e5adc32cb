"""The landmark network of the body: 33 points in the frame and in metres, and the person's mask."""

import math
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.network import Locate, Network
from preprocess.annotators.lite.regions import from_circle
from preprocess.annotators.tracked import Region, RegionMask
from preprocess.pixels import Pixels

__all__ = ["LANDMARKS", "Body", "BodyNetwork", "body_region"]

LANDMARKS = 33
# Below this the network says that its region holds no person.
PERSON_PRESENT = 0.5
# Refinement by heat map: the window's reach in cells, and the peak below which it is not trusted.
WINDOW = 3
PEAK_TRUSTED = 0.5


@dataclass(frozen=True, eq=False)
class Body:
    """One person in one frame.

    `landmarks`  (33, 5) float32: x, y in pixels of the frame, z in the same pixels with smaller
                 nearer the camera, visibility and presence in [0, 1].
    `world`      (33, 3) float32: x, y, z in metres from the middle of the hips, axes as the
                 frame's.
    `mask`       over `region`, the square that the network looked at.
    `score`      in [.5, 1]: how sure the network is that there is a person.
    `alignment`  (2, 2) float64: the middle of the hips and a point on the circle around the body,
                 in pixels of the frame; where to look next follows from them by `body_region`.
    """

    landmarks: np.ndarray
    world: np.ndarray
    mask: RegionMask
    region: Region
    score: float
    alignment: np.ndarray


def body_region(alignment: np.ndarray) -> Region:
    """The square to look at, from the two alignment points, (2, 2): the middle of the hips, and
    the point on the circle around the whole body that is above the head."""
    return from_circle(alignment[0], alignment[1], upright=90.0).grown(1.25)


class BodyNetwork:
    """Landmarks, metres and mask of the person in a region."""

    def __init__(self, locate: Locate, *, threads: int = 1) -> None:
        self._network = Network(locate("pose_landmark_full.tflite"), threads=threads)

    def __call__(self, frame: Pixels, region: Region) -> Body | None:
        """The person in `region` of `frame`, (H, W, 3) uint8 RGB; None when there is none."""
        side = self._network.side
        outputs = self._network(region.crop(frame, side))
        score = float(outputs["Identity_1"][0])
        if not score >= PERSON_PRESENT:
            return None
        # 33 landmarks, two alignment points, four that belong to nothing; x, y, z in input pixels.
        points = outputs["Identity"].reshape(39, 5).astype(np.float64)
        points[:, :3] /= side
        points[:, :2] = _refined(points[:, :2], outputs["Identity_3"])
        points[:, :2] = region.place(points[:, :2])
        points[:, 2] *= region.size
        points[:, 3:] = _sigmoid(points[:, 3:])
        world = outputs["Identity_4"].reshape(39, 3)[:LANDMARKS].astype(np.float64)
        cos, sin = math.cos(region.rotation), math.sin(region.rotation)
        world[:, :2] = world[:, :2] @ np.array([[cos, sin], [-sin, cos]])
        return Body(
            landmarks=points[:LANDMARKS].astype(np.float32),
            world=world.astype(np.float32),
            mask=RegionMask(_sigmoid(outputs["Identity_2"][..., 0]), region),
            region=region,
            score=score,
            alignment=points[33:35, :2],
        )


def _refined(points: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move `points` (N, 2) in [0, 1] to the centre of mass of their heat map's neighbourhood.

    `heatmaps` (rows, columns, N) are logits. Points outside the map or without a clear peak stay.
    """
    rows, columns, _ = heatmaps.shape
    refined = points.copy()
    for index, (x, y) in enumerate(points):
        column, row = int(x * columns), int(y * rows)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        top, left = max(0, row - WINDOW), max(0, column - WINDOW)
        window = _sigmoid(
            heatmaps[top : row + WINDOW + 1, left : column + WINDOW + 1, index].astype(np.float64)
        )
        if window.max() < PEAK_TRUSTED:
            continue
        total = window.sum()
        refined[index] = (
            (left + window.sum(axis=0) @ np.arange(window.shape[1]) / total) / columns,
            (top + window.sum(axis=1) @ np.arange(window.shape[0]) / total) / rows,
        )
    return refined


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, of the dtype of `logits`, without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))
