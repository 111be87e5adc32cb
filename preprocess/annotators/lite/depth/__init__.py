"""Depth annotators. Lite depth is geometry derived from pose; it needs no network of its own."""

from preprocess.annotators.lite.depth.lite import lite_depth
from preprocess.annotators.lite.depth.motion import BodyMotion, BodyPose, body_motion
from preprocess.depth_range import UNKNOWN_RANGE, depth_range, normalize_depth

__all__ = [
    "UNKNOWN_RANGE",
    "BodyMotion",
    "BodyPose",
    "body_motion",
    "depth_range",
    "lite_depth",
    "normalize_depth",
]
