"""From the poses of a clip to joints in three dimensions that move smoothly on constant bones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.depth.bones import bone_lengths, constrain, joints_from_blazepose

__all__ = ["BodyMotion", "BodyPose", "body_motion", "pixels_per_metre", "smooth"]

POINTS = 33

# On rendered people the error of depth is the same from 2 to 3.5 Hz and larger at 1 Hz, which
# rounds off quick limbs; higher lets noise through.
# The camera's scale has no reason to change faster than once a second.
CUTOFF_HZ = 3.5
_SCALE_CUTOFF_HZ = 1.0
# An unseen joint is still a guess worth something; a weight of zero would let it fly.
_LEAST_WEIGHT = 0.1
# Reweighting settles to within a thousandth of the scale in this many rounds.
_ROUNDS = 6
# A residual of this fraction of the body's spread halves a point's weight: about twice a pose
# network's usual error, so that a swapped or invented limb hardly counts.
_OUTLIER = 0.12


@dataclass(frozen=True, eq=False)
class BodyPose:
    """One person in one frame, in the coordinates of the image for which depth is wanted.

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
    `pixels`   (N, J, 2) float64: x, y in the image.
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


def pixels_per_metre(pixels: np.ndarray, metres: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) float64: the scale which best maps `metres` to `pixels` up to a shift, in each frame.

    pixels: (T, J, 2); metres: (T, J, 2), x right and y down in both; weights: (T, J) >= 0.
    Weak perspective (one scale for the whole body) by least squares, reweighted so that a few
    points that are badly wrong do not matter (Cauchy's weights). A frame that fixes no positive
    scale (points all in one place, mirrored, or without weight) gets NaN.
    """
    trust = np.asarray(weights, dtype=np.float64)
    spread = np.sqrt((_centred(pixels, trust) ** 2).sum(axis=2).mean(axis=1))
    scale = _least_squares(pixels, metres, trust)
    for _ in range(_ROUNDS):
        error = _centred(pixels, trust) - scale[:, None, None] * _centred(metres, trust)
        distance = np.linalg.norm(error, axis=2) / np.maximum(_OUTLIER * spread, 1e-9)[:, None]
        trust = weights / (1 + distance**2)
        scale = _least_squares(pixels, metres, np.nan_to_num(trust))
    return np.where(scale > 0, scale, np.nan)


def _least_squares(pixels: np.ndarray, metres: np.ndarray, weights: np.ndarray) -> np.ndarray:
    p, m = _centred(pixels, weights), _centred(metres, weights)
    covariance = np.einsum("tj,tjd,tjd->t", weights, p, m)
    variance = np.einsum("tj,tjd,tjd->t", weights, m, m)
    # A weighted variance below a square centimetre is a body that has collapsed to a point.
    solid = variance > 1e-4 * weights.sum(axis=1)
    return np.where(solid, covariance / np.where(solid, variance, 1), np.nan)


def _centred(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.maximum(weights.sum(axis=1), 1e-12)
    mean = np.einsum("tj,tjd->td", weights, points) / total[:, None]
    return points - mean[:, None]


def smooth(values: np.ndarray, weights: np.ndarray, fps: float, cutoff_hz: float) -> np.ndarray:
    """Smooth each column of `values` over its first axis without lag (Whittaker, 1922).

    values: (T, N, ...) float; weights: (T, N) >= 0, how far to trust each sample of each column;
    fps: frames per second (> 0); cutoff_hz: half of a motion at this frequency is kept (> 0).
    Returns float64 of the shape of `values`: with W the weights over their mean, the x that has
    the least

        sum_t W_t (x_t - values_t)^2 + (fps / (2 pi cutoff_hz))^4 sum_t (x_t-1 - 2 x_t + x_t+1)^2

    A steady motion passes unchanged to the very ends of the clip, where a running mean would
    shorten it. Frames seconds apart are hardly touched. Fewer than three are returned as they are.
    """
    frames, columns = weights.shape
    if frames < 3:
        return np.array(values, dtype=np.float64)
    flat = np.asarray(values, dtype=np.float64).reshape(frames, columns, -1)
    bend = np.diff(np.eye(frames), n=2, axis=0)  # (T - 2, T): second differences
    stiffness = (fps / (2 * np.pi * cutoff_hz)) ** 4 * (bend.T @ bend)
    # The floor keeps the system regular where a column is trusted in fewer than two frames.
    trust = weights / np.maximum(weights.mean(axis=0), 1e-9) + 1e-6
    system = trust.T[:, :, None] * np.eye(frames) + stiffness  # (N, T, T)
    solved = np.linalg.solve(system, (trust[:, :, None] * flat).transpose(1, 0, 2))
    return solved.transpose(1, 0, 2).reshape(values.shape)
