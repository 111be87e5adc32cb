"""Skeletons as the field draws them: OpenPose (18 body joints) and DWPose (body, hands, face).

Limbs are ellipses in the rainbow of OpenPose at 60 % brightness, joints are full-colour discs on
top. Everything is drawn with sub-pixel positions and anti-aliasing at the size of the clip, so a
slowly moving limb moves smoothly instead of jumping from pixel to pixel.
"""

import colorsys
from typing import Literal

import cv2
import numpy as np

from shards.sample.keypoints import (
    COCO_18,
    FACE_68,
    HAND_21,
    Keypoints,
    are_seen,
    only_finite,
)

__all__ = ["LIMBS", "LIMB_COLOURS", "MIN_SCORE", "PoseStyle", "draw_poses"]

PoseStyle = Literal["openpose", "dwpose"]

MIN_SCORE = 0.3  # joints scored lower are not drawn, unless an annotator says otherwise

# The 17 limbs of the 18-joint COCO body, in OpenPose's order: indices into COCO_18.
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
# Limb i and joint i take colour i, RGB.
LIMB_COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
HAND_BONES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
HAND_JOINT_COLOUR = (0, 0, 255)
FACE_COLOUR = (255, 255, 255)

_SHIFT = 4  # fractional bits of cv2's sub-pixel coordinates


def draw_poses(
    keypoints: Keypoints,
    size: tuple[int, int],
    style: PoseStyle,
    *,
    min_score: float = MIN_SCORE,
) -> np.ndarray:
    """Draw the people of every frame on black.

    keypoints: any set with COCO_18's joints; "dwpose" also draws hands and face where the set has
    them. size: (height, width) of the image that the keypoints are pixels of. Joints scored
    below `min_score`, or whose place is not finite, are not drawn.
    Returns (frames, height, width, 3) uint8 RGB.
    Raises ValueError for a set without the 18 body joints.
    """
    height, width = size
    frames = np.zeros((len(keypoints.points), height, width, 3), np.uint8)
    scale = min(height, width) / 512  # line widths are given for 512 pixels, as in the field
    keypoints = _seen(keypoints, min_score)
    body = keypoints.select(COCO_18)
    for frame, people in zip(frames, body, strict=True):
        for person in people:
            _draw_body(frame, person, scale)
    if style == "dwpose":
        for side in ("left_hand_", "right_hand_"):
            if side + HAND_21.joints[0] in keypoints.joint_set.joints:
                for frame, people in zip(frames, keypoints.select(HAND_21, side), strict=True):
                    for hand in people:
                        _draw_hand(frame, hand, scale)
        if FACE_68.joints[0] in keypoints.joint_set.joints:
            for frame, people in zip(frames, keypoints.select(FACE_68), strict=True):
                for face in people:
                    _draw_discs(frame, face, [FACE_COLOUR] * len(face), 3 * scale)
    return frames


def _seen(keypoints: Keypoints, min_score: float) -> Keypoints:
    points = only_finite(keypoints.points)
    points[..., 2] = np.where(are_seen(points, min_score), points[..., 2], 0)
    return Keypoints(points, keypoints.joint_set)


def _draw_body(frame: np.ndarray, joints: np.ndarray, scale: float) -> None:
    for (a, b), colour in zip(LIMBS, LIMB_COLOURS, strict=False):
        if min(joints[a, 2], joints[b, 2]) > 0:
            dimmed = tuple(int(channel * 0.6) for channel in colour)
            _fill_ellipse(frame, joints[a, :2], joints[b, :2], 4 * scale, dimmed)
    _draw_discs(frame, joints, LIMB_COLOURS, 4 * scale)


def _draw_hand(frame: np.ndarray, joints: np.ndarray, scale: float) -> None:
    points = _fixed_points(joints[:, :2]).tolist()
    for i, (a, b) in enumerate(HAND_BONES):
        if min(joints[a, 2], joints[b, 2]) > 0:
            rgb = colorsys.hsv_to_rgb(i / len(HAND_BONES), 1, 1)
            colour = tuple(round(255 * channel) for channel in rgb)
            width = max(1, round(2 * scale))
            cv2.line(frame, points[a], points[b], colour, width, cv2.LINE_AA, _SHIFT)
    _draw_discs(frame, joints, [HAND_JOINT_COLOUR] * len(joints), 3 * scale)


def _draw_discs(
    frame: np.ndarray, joints: np.ndarray, colours: tuple | list, radius: float
) -> None:
    fixed_radius = round(max(radius, 1.0) * (1 << _SHIFT))
    points = _fixed_points(joints[:, :2]).tolist()
    for point, score, colour in zip(points, joints[:, 2], colours, strict=True):
        if score > 0:
            cv2.circle(frame, point, fixed_radius, colour, -1, cv2.LINE_AA, _SHIFT)


def _fill_ellipse(
    frame: np.ndarray, a: np.ndarray, b: np.ndarray, width: float, colour: tuple[int, ...]
) -> None:
    """An ellipse whose long axis runs from a to b and whose short half-axis is `width` pixels."""
    half = (b - a) / 2
    length = float(np.hypot(*half))
    along = half / length if length > 1e-6 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]]) * max(width, 1.0)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    outline = (a + b) / 2 + np.outer(np.cos(angle), half) + np.outer(np.sin(angle), across)
    cv2.fillConvexPoly(frame, _fixed_points(outline), colour, cv2.LINE_AA, _SHIFT)


def _fixed_points(xy: np.ndarray) -> np.ndarray:
    """(N, 2) pixels as cv2's int32 fixed point."""
    # Joints far outside would overflow; nothing of them is visible anyway.
    near = np.clip(np.asarray(xy, np.float64), -30_000, 30_000)
    return np.rint(near * (1 << _SHIFT)).astype(np.int32)
