"""The three single-shot detectors: whole people, palms, and faces near the camera.

All have one form. Each cell of a few grids over the input carries anchors; for each anchor the
network gives a score and, relative to the cell's centre, a box and some key points.
"""

from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.network import Locate, Network
from preprocess.annotators.tracked import Region
from preprocess.pixels import Pixels

__all__ = ["FACE", "PALM", "PERSON", "Detection", "Detector", "DetectorForm", "make_anchors"]

# Boxes that overlap more than this, intersection over union, are one thing seen twice.
SAME_THING = 0.3


@dataclass(frozen=True)
class DetectorForm:
    """What tells one detector from another.

    `grids` is (stride in input pixels, anchors in a cell) for each grid, in the output's order.
    `boxes` and `scores` are the names of the outputs; `low` is what black becomes at the input.
    """

    file: str
    grids: tuple[tuple[int, int], ...]
    low: float
    boxes: str = "Identity"
    scores: str = "Identity_1"


PERSON = DetectorForm("pose_detection.tflite", ((8, 2), (16, 2), (32, 6)), low=-1.0)
PALM = DetectorForm("palm_detection_full.tflite", ((8, 2), (16, 6)), low=0.0)
FACE = DetectorForm(
    "face_detection_short_range.tflite",
    ((8, 2), (16, 6)),
    low=-1.0,
    boxes="regressors",
    scores="classificators",
)


@dataclass(frozen=True, eq=False)
class Detection:
    """`box` (2, 2), its first and last corner, and `points` (N, 2), in pixels of the frame;
    `score` in [0, 1]."""

    box: np.ndarray
    points: np.ndarray
    score: float


def make_anchors(side: int, grids: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Centres of the anchors of a `side` x `side` input: (N, 2) float32 x, y in [0, 1].

    Row by row, the anchors of a cell together. They have no sizes: boxes are in input pixels.
    """
    centres = []
    for stride, count in grids:
        cells = -(-side // stride)
        steps = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
        y, x = np.meshgrid(steps, steps, indexing="ij")
        centres.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0))
    return np.concatenate(centres)


class Detector:
    """Finds one kind of thing within a region of a frame."""

    def __init__(self, locate: Locate, form: DetectorForm, *, threads: int = 1) -> None:
        self._form = form
        self._network = Network(locate(form.file), low=form.low, threads=threads)
        self._anchors = make_anchors(self._network.side, form.grids)

    def __call__(self, frame: Pixels, region: Region, *, threshold: float = 0.5) -> list[Detection]:
        """Everything with a score of `threshold` or more, best first.

        `frame` (H, W, 3) uint8 RGB; what lies outside it is black to the detector.
        """
        side = self._network.side
        outputs = self._network(region.crop(frame, side, zeros=True))
        logits = outputs[self._form.scores][:, 0].astype(np.float64)
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -100.0, 100.0)))
        kept = np.flatnonzero(scores >= threshold)
        if not kept.size:
            return []
        # A row: box centre, box width and height, key points; x before y, in input pixels.
        rows = outputs[self._form.boxes][kept].reshape(len(kept), -1, 2) / np.float32(side)
        anchors = self._anchors[kept]
        centre, half = rows[:, 0] + anchors, rows[:, 1] / 2
        corners = np.stack([centre - half, centre + half], axis=1)
        places = np.concatenate([corners, rows[:, 2:] + anchors[:, None]], axis=1)
        return [
            Detection(box=points[:2], points=points[2:], score=score)
            for points, score in (
                (region.place(merged), score)
                for merged, score in _merge(places.astype(np.float64), scores[kept])
            )
        ]


def _merge(places: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Weighted non-maximum suppression: the best box absorbs those over it, averaged by score.

    `places` (N, 2 + points, 2): corners of the box, then key points. `scores` (N,).
    """
    order = np.argsort(-scores, kind="stable")
    merged = []
    while order.size:
        best = order[0]
        same = _overlaps(places[best, :2], places[order, :2]) > SAME_THING
        # A box without an area overlaps nothing, itself included, but must still be used up.
        same[0] = True
        group = order[same]
        weights = scores[group] / scores[group].sum()
        merged.append((np.tensordot(weights, places[group], axes=1), float(scores[best])))
        order = order[~same]
    return merged


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of `box` (2, 2) with each of `boxes` (N, 2, 2): (N,)."""
    sides = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 1] - boxes[:, 0]).clip(min=0).prod(axis=1)
    union = areas + (box[1] - box[0]).clip(min=0).prod() - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
