"""The person that the lite tracker follows, as every annotator may read it of a scene.

Coordinates are pixels of the frame, x to the right and y down. A rotation is in radians and turns
a square clockwise as seen on the screen. The networks were trained with pixel (0, 0) of their
input on the square's corner, not half a pixel inside it, so the affines here do the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.crop import Box
from preprocess.identity import colours_of
from preprocess.pixels import Pixels, pixels_in

__all__ = [
    "PersonFrame",
    "Region",
    "RegionMask",
    "person_box",
    "person_boxes",
    "person_colours",
    "wrapped",
]

_VISIBLE = 0.5
_BESIDE = 2  # pixels
_COLOUR_SIDE = 64  # pixels at which a person's colours are looked at


@dataclass(frozen=True)
class Region:
    """A square: centre `x`, `y` and side `size` in pixels of the frame, `rotation` in radians."""

    x: float
    y: float
    size: float
    rotation: float = 0.0

    def to_frame(self, side: float = 1.0) -> np.ndarray:
        """The (2, 3) float64 affine from points of a `side` x `side` crop to the frame."""
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        turn = np.array([[cos, -sin], [sin, cos]]) * (self.size / side)
        offset = np.array([self.x, self.y]) - turn @ np.full(2, side / 2)
        return np.column_stack([turn, offset])

    def crop(self, frame: Pixels, side: int, *, zeros: bool = False) -> np.ndarray:
        """Cut the square out of `frame`, (H, W, 3) uint8, as (side, side, 3) uint8.

        Outside the frame its edge is repeated, or with `zeros` it is black.
        """
        corners = self.place(np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]))
        # Neighbours of what is looked at count, too.
        low, high = corners.min(0) - _BESIDE, corners.max(0) + _BESIDE
        return cv2.warpAffine(
            pixels_in(frame, (*low.tolist(), *high.tolist())),
            self.to_frame(side),
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT if zeros else cv2.BORDER_REPLICATE,
        )

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the square, whose corners are (0, 0) and (1, 1), in the frame."""
        affine = self.to_frame()
        return points @ affine[:, :2].T + affine[:, 2]

    def relative(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `place`."""
        affine = self.to_frame()
        return np.linalg.solve(affine[:, :2], (points - affine[:, 2]).T).T

    def grown(self, scale: float, *, down: float = 0.0) -> Region:
        """Moved by `down` of its side along its own vertical axis, then `scale` times as large."""
        shift = self.size * down
        return Region(
            self.x - shift * math.sin(self.rotation),
            self.y + shift * math.cos(self.rotation),
            self.size * scale,
            self.rotation,
        )

    def near(self, other: Region, *, turn: float, shift: float, scale: float) -> bool:
        """Whether the squares agree: rotation within `turn` radians, x, y and size within
        the shares `shift` and `scale` of this square's side."""
        return (
            abs(wrapped(self.rotation - other.rotation)) <= turn
            and max(abs(self.x - other.x), abs(self.y - other.y)) <= shift * self.size
            and abs(self.size - other.size) <= scale * self.size
        )

    def overlap(self, other: Region) -> float:
        """Intersection over union in [0, 1], of the squares as if neither were rotated."""
        reach = (self.size + other.size) / 2
        width = min(reach - abs(self.x - other.x), self.size, other.size)
        height = min(reach - abs(self.y - other.y), self.size, other.size)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.size**2 + other.size**2 - shared)


@dataclass(frozen=True, eq=False)
class RegionMask:
    """`values`, (256, 256) float32 in [0, 1], 1 where the person is, over the square `region`."""

    values: np.ndarray
    region: Region

    def warped(self, affine: np.ndarray, width: int, height: int) -> np.ndarray:
        """The mask over any image made from the frame: (height, width) float32 in [0, 1].

        `affine` (2, 3) takes the frame's pixels to the image's, as `cv2.warpAffine` does. Zero
        outside the region. Bilinear: an image much smaller than the region will alias.
        """
        side = self.values.shape[0]
        onto = np.vstack([affine, (0.0, 0.0, 1.0)]) @ np.vstack(
            [self.region.to_frame(side), (0.0, 0.0, 1.0)]
        )
        return cv2.warpAffine(self.values, onto[:2], (width, height), flags=cv2.INTER_LINEAR)


@dataclass(frozen=True, eq=False)
class PersonFrame:
    """The person in one frame.

    `landmarks`  (33, 5) float32: x, y in pixels of the frame, z in the same pixels (smaller is
                 nearer the camera, 0 the hips), visibility and presence in [0, 1].
    `world`      (33, 3) float32: x, y, z in metres from the middle of the hips, axes as the
                 frame's: x right, y down, z away from the camera.
    `mask`       the person's mask over `region`; it can be warped to any image of the frame.
    `left_hand`, `right_hand`
                 (21, 3) float32 x, y in pixels and score in [.5, 1]; the person's own left and
                 right; None when not found or not asked for.
    `face`       (468, 3) float32 x, y in pixels and score in [.5, 1]; None likewise.
    `region`     the square of the frame that the body's network looked at.
    `score`      in [.5, 1]: how sure the network is that there is a person.
    """

    landmarks: np.ndarray
    world: np.ndarray
    mask: RegionMask
    left_hand: np.ndarray | None
    right_hand: np.ndarray | None
    face: np.ndarray | None
    region: Region
    score: float


def person_box(person: PersonFrame, width: int, height: int) -> Box:
    """x0, y0, x1, y1 in pixels of a (height, width) frame: mask and visible landmarks together.

    The mask alone would lose a hand that it misses; landmarks alone end at the eyes and wrists.
    """
    points = person.landmarks[person.landmarks[:, 3] >= _VISIBLE, :2]
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
    people: Sequence[PersonFrame | None], frames: Sequence[Pixels]
) -> tuple[tuple[Box, ...], ...]:
    """The tracked person's box in each frame, (H, W, 3); none where there is nobody."""
    return tuple(
        () if person is None else (person_box(person, frame.shape[1], frame.shape[0]),)
        for person, frame in zip(people, frames, strict=True)
    )


def person_colours(person: PersonFrame, frame: Pixels) -> np.ndarray:
    """`identity.colours_of` the person's mask in a frame, (H, W, 3) uint8 RGB."""
    mask = person.mask
    image = mask.region.crop(frame, _COLOUR_SIDE)
    weights = cv2.resize(mask.values, (_COLOUR_SIDE, _COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    return colours_of(image, np.where(weights > 0.5, weights, 0))


def wrapped(angle: float) -> float:
    """`angle` in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi
