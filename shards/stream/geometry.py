"""Random crop and mirror, the same for every image and key point of a sample."""

from dataclasses import dataclass

import cv2
import numpy as np

from shards.errors import BadSample
from shards.sample.keypoints import JOINT_SETS, Keypoints
from shards.sample.skeleton import MIN_SCORE, draw_poses
from shards.stream.random import Draws

__all__ = ["IDENTITY", "Geometry", "draw_geometry", "moved_keypoints", "redraw_pose"]


@dataclass(frozen=True)
class Geometry:
    """A square part of the image, brought back to the image's size, then mirrored or not.

    `x`, `y`, `side` are fractions of the width, the height and both, in [0, 1].
    """

    x: float = 0.0
    y: float = 0.0
    side: float = 1.0
    mirrored: bool = False

    def affine(self, height: int, width: int) -> np.ndarray:
        """(2, 3) float64, pixels of the image to pixels of the result; centres are integers."""
        scale = 1 / self.side
        # Pixel i covers [i - .5, i + .5]: corners, not centres, are mapped onto corners.
        tx = scale * (0.5 - self.x * width) - 0.5
        ty = scale * (0.5 - self.y * height) - 0.5
        matrix = np.array([[scale, 0, tx], [0, scale, ty]])
        if self.mirrored:
            matrix[0] = [-scale, 0, width - 1 - tx]
        return matrix

    def apply(self, images: np.ndarray, *, exact: bool = False) -> None:
        """Change (..., H, W) or (..., H, W, 3) uint8 images in place.

        `exact` takes the nearest pixel instead of a mean of several: for colours that mean
        something, such as those of depth, which a mean of two would turn into a third.
        """
        if self == IDENTITY:
            return
        channels = (3,) if images.shape[-1] == 3 else ()
        height, width = images.shape[images.ndim - 2 - len(channels) :][:2]
        flat = images.reshape(-1, height, width, *channels)
        if self.side == 1:
            flat[...] = flat[:, :, ::-1].copy()
            return
        matrix = self.affine(height, width)
        how = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR
        for image in flat:
            image[...] = cv2.warpAffine(
                image, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE
            )

    def part(self, inner: "Geometry") -> "Geometry":
        """`inner`, a part of this part, as one of the image. Neither is mirrored."""
        return Geometry(
            self.x + inner.x * self.side, self.y + inner.y * self.side, self.side * inner.side
        )


IDENTITY = Geometry()


def draw_geometry(
    draws: Draws, crop_area: tuple[float, float], mirror_probability: float
) -> Geometry:
    """A crop to a fraction of the image's area within `crop_area`, and by chance a mirror."""
    side = draws.uniform(*crop_area) ** 0.5
    x, y = draws.uniform(0, 1 - side), draws.uniform(0, 1 - side)
    return Geometry(x, y, side, draws.chance(mirror_probability))


def redraw_pose(
    points: np.ndarray, described: object, geometry: Geometry, out: np.ndarray, label: str
) -> None:
    """Draw the skeletons of key points (T, people, joints, 3) as `geometry` moves them.

    out: (T, H, W, 3) uint8. `described` is the json's `keypoints`: names the joints and the style.
    Limbs keep their width and, mirrored, left and right change places, which no change of the
    drawn image could do. Raises BadSample, naming the sample, for joints that cannot be drawn.
    """
    described = described if isinstance(described, dict) else {}
    joints = JOINT_SETS.get(described.get("joint_set", ""))
    style = described.get("style")
    min_score = described.get("min_score", MIN_SCORE)
    if joints is None or style not in ("openpose", "dwpose"):
        raise BadSample(
            f"{label}: its json has no joint set and style known here, so its skeleton cannot "
            "be drawn again: stream it without crop and mirror"
        )
    height, width = out.shape[1:3]
    try:
        moved = moved_keypoints(Keypoints(points, joints), geometry, height, width)
        out[...] = draw_poses(moved, (height, width), style, min_score=float(min_score))
    except (TypeError, ValueError) as error:
        raise BadSample(f"{label}: {error}") from error


def moved_keypoints(keypoints: Keypoints, geometry: Geometry, height: int, width: int) -> Keypoints:
    """The joints in an image of this size once `geometry` has moved it."""
    upright = Geometry(geometry.x, geometry.y, geometry.side)
    moved = keypoints.transformed(upright.affine(height, width))
    return moved.flipped(width) if geometry.mirrored else moved
