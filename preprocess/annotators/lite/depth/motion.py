"""From the poses of a clip to joints in three dimensions that move smoothly on constant bones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.depth.bones import bone_lengths, constrain, joints_from_blazepose
from preprocess.annotators.lite.depth.scale import pixels_per_metre
from preprocess.annotators.lite.depth.smoother import smooth

__all__ = ["BodyMotion", "BodyPose", "body_motion"]

POINTS = 33

# Measured on rendered bodies (bench/lite_depth.py): 3 Hz is best for joints as noisy as those of a
# poor view, 4 Hz for those of a good one. Lower rounds off quick limbs, higher lets noise through.
# The camera's scale has no reason to change faster than once a second.
CUTOFF_HZ = 3.5
_SCALE_CUTOFF_HZ = 1.0
# An unseen joint is still a guess worth something; a weight of zero would let it fly.
_LEAST_WEIGHT = 0.1


@dataclass(frozen=True, eq=False)
class BodyPose:
    """One person in one frame, in the coordinates of the picture for which depth is wanted.

    `landmarks`  (33, 3) float32: x, y in pixels, visibility in [0, 1]; BlazePose's order.
    `world`      (33, 3) float32: metres relative to the mid-hip, x right, y down, z away from the
                 camera, with the roll of the network's region undone.
    """

    landmarks: np.ndarray
    world: np.ndarray


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """A person's joints (`bones.JOINTS`) over the N frames of a clip that have a pose.

    `frames`   (N,) int: which frames of the clip these are, rising.
    `pixels`   (N, J, 2) float64: x, y in the picture.
    `metres`   (N, J, 3) float64 relative to the mid-hip, z away from the camera.
    `scale`    (N,) float64: pixels per metre.
    `lengths`  (len(BONES),) float64 metres, one body for the whole clip; empty when N is 0.
    """

    frames: np.ndarray
    pixels: np.ndarray
    metres: np.ndarray
    scale: np.ndarray
    lengths: np.ndarray


def body_motion(
    poses: Sequence[BodyPose | None],
    *,
    fps: float = 30.0,
    cutoff_hz: float | None = CUTOFF_HZ,
    constant_bones: bool = True,
) -> BodyMotion:
    """Smooth `poses` over time and make every bone keep its median length.

    fps: frames per second of `poses`, after any frame step; give the low rate they truly have to
    frames spread over a video, which are then not smoothed. cutoff_hz: None leaves out smoothing,
    constant_bones=False the bones; both for measuring what they bring.

    Frames without a pose, without any visible landmark, or whose landmarks fix no scale are left
    out; smoothing does not reach across them. Raises ValueError, naming the frame, for landmarks
    of the wrong shape or not finite, and for an fps that is not above 0.
    """
    if not fps > 0:
        raise ValueError(f"lite depth needs the frames per second of its clip above 0, not {fps}")
    frames, landmarks, world = _stack(poses)
    scale = pixels_per_metre(landmarks[..., :2], world[..., :2], landmarks[..., 2])
    usable = np.isfinite(scale)
    frames, landmarks, world, scale = (a[usable] for a in (frames, landmarks, world, scale))

    weights = np.maximum(joints_from_blazepose(landmarks[..., 2]), _LEAST_WEIGHT)
    pixels = joints_from_blazepose(landmarks[..., :2])
    metres = joints_from_blazepose(world)
    if cutoff_hz is not None:
        for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) > 1) + 1):
            pixels[run] = smooth(pixels[run], weights[run], fps, cutoff_hz)
            metres[run] = smooth(metres[run], weights[run], fps, cutoff_hz)
            even = np.ones((len(run), 1))
            scale[run] = np.exp(smooth(np.log(scale[run, None]), even, fps, _SCALE_CUTOFF_HZ))[:, 0]

    metres -= metres[:, :1]
    # Image and world landmarks err in x and y on their own: their mean is the better guess.
    metres[..., :2] = (metres[..., :2] + (pixels - pixels[:, :1]) / scale[:, None, None]) / 2
    lengths = bone_lengths(metres) if len(frames) else np.empty(0)
    if constant_bones and len(frames):
        metres = constrain(metres, weights, lengths)
    return BodyMotion(frames, pixels, metres, scale, lengths)


def _stack(poses: Sequence[BodyPose | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices, (N, 33, 3) landmarks and world of the frames that have anything visible."""
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    for t, pose in enumerate(poses):
        if pose is None:
            continue
        for name, array in (("landmarks", pose.landmarks), ("world", pose.world)):
            if array.shape != (POINTS, 3):
                raise ValueError(f"frame {t}: {name} have shape {array.shape}, not ({POINTS}, 3)")
            if not np.isfinite(array).all():
                raise ValueError(
                    f"frame {t}: {name} hold NaN or infinity; pass None for a frame without a pose"
                )
        if (pose.landmarks[:, 2] > 0).any():
            found.append((t, pose.landmarks, pose.world))
    empty = np.empty((0, POINTS, 3))
    return (
        np.array([t for t, _, _ in found], dtype=int),
        np.stack([a for _, a, _ in found]).astype(np.float64) if found else empty,
        np.stack([a for _, _, a in found]).astype(np.float64) if found else empty,
    )
