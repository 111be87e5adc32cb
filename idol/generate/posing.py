"""A clip's foreground in its poses, over its background, as a stream lays it for training."""

import cv2
import numpy as np

from idol.generate.given import GivenClip
from idol.generate.pictures import pad_to_square
from shards.sample.colormap import depth_to_hot
from shards.sample.posed import lay_over

__all__ = ["posed_frames"]


def posed_frames(
    clip: GivenClip, background: np.ndarray, height: int, width: int, *, with_depth: bool = False
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The background with the person in each pose, and if asked for their depth before white in
    `hot` colours, both (F, height, width, 3) uint8; None where joints of either are not known.

    background: (H, W, 3) uint8, with its hole. As in training both pictures are first brought to
    the size of the frames.
    """
    if clip.joints is None or clip.foreground_joints is None:
        return None
    foreground, mask = pad_to_square(clip.foreground, clip.foreground_mask)
    own = clip.foreground_joints.copy()
    own[:, :2] += (np.array(mask.shape) - clip.foreground_mask.shape)[::-1] // 2
    side = max(height, width)
    joints = _scaled(clip.joints, (width, height), clip.poses.shape[2:0:-1])
    depth = np.empty((len(joints), height, width), np.float32) if with_depth else None
    laid = lay_over(
        _resized(background, (width, height)),
        _resized(foreground, (side, side)),
        _resized(mask, (side, side)),
        _scaled(own, (side, side), mask.shape),
        joints,
        depth=depth,
    )
    return laid, None if depth is None else depth_to_hot(depth)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinks = width >= size[0] and height >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: np.ndarray = cv2.resize(image, size, interpolation=how)
    return resized


def _scaled(joints: np.ndarray, size: tuple[int, int], of: tuple[int, ...]) -> np.ndarray:
    """Joints in a picture of another (width, height)."""
    scaled = joints.copy()
    scaled[..., :2] = (joints[..., :2] + 0.5) * (np.array(size) / of) - 0.5
    return scaled
