"""Depth compared: errors on [0, 1], after one scale and shift a video, over time, and at edges.

Depth maps are (F, H, W) floats in [0, 1], 0 near, as clips have them; masks (F, H, W) bool.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = [
    "LEAST_NEARNESS",
    "AlignedSums",
    "Alignment",
    "AlignmentFit",
    "Errors",
    "aligned_sums",
    "dtssd",
    "edge_f1",
    "errors",
    "person_of",
]

LEAST_NEARNESS = 0.05
"""Below this a disparity, 1 - depth on [0, 1], is taken for this: beyond it a depth has no end."""

_DELTA1 = 1.25
# Edges: how far apart two of one place may be, in fractions of the image's side (2 pixels of 256),
# the step that is an edge of depth, and Canny's thresholds for the frame's.
_NEAR = 2 / 256
_LEAST_NEAR = 1.5  # pixels: an edge lies between two of them
_BAND = 8  # times that
_DEPTH_STEP = 0.1
_CANNY = (50, 150)
# The person's depth ends at .75 and the background is 1.
_PERSON_ENDS = 0.875


@dataclass(frozen=True)
class Errors:
    """Of depth on [0, 1]: the mean squared error, and its root (the paper's L2, sec. 4)."""

    mse: float
    rmse: float


def errors(depth: np.ndarray, reference: np.ndarray, where: np.ndarray | None = None) -> Errors:
    """Over all pixels of a video, or those where `where` holds; NaN where there are none."""
    squares = (depth.astype(np.float64) - reference.astype(np.float64)) ** 2
    if where is not None:
        squares = squares[where]
    mse = float(squares.mean()) if squares.size else float("nan")
    return Errors(mse, float(np.sqrt(mse)))


def person_of(depth: np.ndarray) -> np.ndarray:
    """(F, H, W) bool: where a person's depth is, of a map whose background is 1."""
    return depth < _PERSON_ENDS


@dataclass(frozen=True)
class Alignment:
    """Scale and shift of a video's disparity, 1 - depth, to that of its reference."""

    scale: float
    shift: float


class AlignmentFit:
    """Least squares over the clips of a video, one after the other.

    Maps on [0, 1] have no unit; one scale and shift for the whole video, not for each frame, is
    what a viewer could set by hand.
    """

    def __init__(self) -> None:
        self._sums = np.zeros(5)  # 1, x, y, x x, x y

    def add(self, depth: np.ndarray, reference: np.ndarray, where: np.ndarray) -> None:
        """Count the pixels of a clip in where `where` holds."""
        x = 1 - depth[where].astype(np.float64)
        y = 1 - reference[where].astype(np.float64)
        self._sums += (x.size, x.sum(), y.sum(), x @ x, x @ y)

    def solve(self) -> Alignment:
        """The fit; by the shift alone where the map has no relief."""
        n, x, y, xx, xy = self._sums
        if not n:
            return Alignment(1.0, 0.0)
        variance = xx - x * x / n
        scale = (xy - x * y / n) / variance if variance > 1e-9 * n else 0.0
        return Alignment(float(scale), float((y - scale * x) / n))


@dataclass(frozen=True)
class AlignedSums:
    """Sums over `pixels` after alignment, of depths z = 1 / disparity, which is 0.05 or more.

    `absrel` of |z - z'| / z', `squares` of (z - z')^2, `delta1` of max(z / z', z' / z) < 1.25;
    z' is the reference's. So z spans 1 to 20, and errors are those of this scale.
    """

    absrel: float
    squares: float
    delta1: float
    pixels: int


def aligned_sums(
    depth: np.ndarray, reference: np.ndarray, where: np.ndarray, alignment: Alignment
) -> AlignedSums:
    """Of the pixels of a clip where `where` holds."""
    fitted = alignment.scale * (1 - depth[where].astype(np.float64)) + alignment.shift
    z = 1 / np.maximum(fitted, LEAST_NEARNESS)
    true_z = 1 / np.maximum(1 - reference[where].astype(np.float64), LEAST_NEARNESS)
    ratio = np.maximum(z / true_z, true_z / z)
    return AlignedSums(
        absrel=float(np.sum(np.abs(z - true_z) / true_z)),
        squares=float(np.sum((z - true_z) ** 2)),
        delta1=float(np.sum(ratio < _DELTA1)),
        pixels=z.size,
    )


def dtssd(depth: np.ndarray, reference: np.ndarray) -> float:
    """Root mean squared difference of the changes from frame to frame, mean over pairs of frames.

    0 where depth moves as the reference's does, whatever the error of a single frame. NaN of one
    frame.
    """
    if len(depth) < 2:
        return float("nan")
    change = np.diff(depth.astype(np.float64), axis=0) - np.diff(
        reference.astype(np.float64), axis=0
    )
    return float(np.sqrt((change**2).mean((1, 2))).mean())


def edge_f1(frames: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """How well edges of depth lie on edges of the video, in [0, 1], (F,) float64.

    frames: (F, H, W, 3) uint8 RGB. Edges of depth are steps of a tenth within three pixels, edges
    of frames are Canny's. Precision is the fraction of depth's edges within 2 pixels (of 256) of
    the frame's; recall the fraction of the frame's within 2 pixels of depth's, among those within
    16 pixels: texture elsewhere has no edge in depth.
    NaN of frames without an edge in depth.
    """
    return np.array([_frame_f1(frame, one) for frame, one in zip(frames, depth, strict=True)])


def _frame_f1(frame: np.ndarray, depth: np.ndarray) -> float:
    near = max(_NEAR * min(depth.shape), _LEAST_NEAR)
    of_depth = _depth_edges(depth.astype(np.float32))
    if not of_depth.any():
        return float("nan")
    # The strongest channel: two colours of one grey have an edge.
    of_frame = np.zeros(depth.shape, bool)
    for channel in range(3):
        of_frame |= cv2.Canny(np.ascontiguousarray(frame[..., channel]), *_CANNY) > 0
    if not of_frame.any():
        return 0.0
    to_frame, to_depth = _distance(of_frame), _distance(of_depth)
    precision = (to_frame[of_depth] <= near).mean()
    beside = of_frame & (to_depth <= _BAND * near)
    recall = (to_depth[beside] <= near).mean() if beside.any() else 0.0
    total = precision + recall
    return float(2 * precision * recall / total) if total > 0 else 0.0


def _depth_edges(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: ridges of the local step, one or two pixels wide."""
    square = np.ones((3, 3), np.uint8)
    step = cv2.dilate(depth, square) - cv2.erode(depth, square)
    return step >= _DEPTH_STEP


def _distance(marked: np.ndarray) -> np.ndarray:
    """(H, W) float32: pixels to the nearest that is marked."""
    return cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
