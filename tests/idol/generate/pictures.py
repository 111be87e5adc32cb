"""Pictures to mark and to write: textured, moving, made from a seed."""

from typing import Any

import cv2
import numpy as np

from idol.generate.generator import Generated
from shards.sample.colormap import depth_to_hot

__all__ = ["generated_clip", "pictures"]


def pictures(count: int, size: int, seed: int = 0) -> np.ndarray:
    """(count, size, size, 3) uint8: a still scene with detail of all sizes, little colour, and a
    disc that moves in front of it."""
    rng = np.random.default_rng(seed)
    scene = np.full((size, size, 3), 128, np.float32)
    for cells in (4, 8, 16, 32, 64):
        for channel, much in ((slice(None), 1.0), (0, 0.3), (2, 0.3)):
            coarse = rng.normal(0, 90 * cells**-0.6 * much, (cells, cells)).astype(np.float32)
            detail = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
            scene[..., channel] += detail[..., None] if channel == slice(None) else detail
    scene = np.clip(scene, 0, 255).astype(np.uint8)
    frames = np.repeat(scene[None], count, 0)
    for t, frame in enumerate(frames):
        cv2.circle(frame, (size // 3 + 2 * t, size // 2), size // 8, (190, 150, 130), -1)
    return frames


def generated_clip(frames: int = 3, size: int = 64, fps: float = 12.5, **more: Any) -> Generated:
    """A clip whose depth is a ramp with a square hole of background."""
    ramp = np.linspace(0, 0.75, size, dtype=np.float32)
    depth = np.repeat(np.broadcast_to(ramp, (size, size))[None], frames, 0).copy()
    for t in range(frames):
        depth[t, : size // 4, t : t + size // 4] = 1
    return Generated(
        frames=pictures(frames, size),
        depth=depth,
        confidence=np.full_like(depth, 0.5),
        depth_pictures=depth_to_hot(depth),
        depth_kind="person",
        fps=fps,
        **more,
    )
