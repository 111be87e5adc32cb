"""Numbers that tell good annotations from bad ones, clip by clip."""

import numpy as np

__all__ = ["CONFIDENT", "body_size", "depth_flicker", "pose_jitter"]

# Scores above this count as a joint that was seen.
CONFIDENT = 0.3
_MASK = 127


def body_size(keypoints: np.ndarray) -> float:
    """Size of a person in pixels: median over frames of the diagonal of its joints' box.

    keypoints: (T, joints, 3), x, y, score. Joints with score > .3 count; NaN when fewer than two
    are seen in every frame.
    """
    diagonals = []
    for frame in keypoints:
        seen = frame[frame[:, 2] > CONFIDENT, :2]
        if len(seen) > 1:
            diagonals.append(float(np.linalg.norm(np.ptp(seen, axis=0))))
    return float(np.median(diagonals)) if diagonals else float("nan")


def pose_jitter(keypoints: np.ndarray) -> float:
    """Mean length of the joints' second difference in time, as a fraction of the body's size.

    keypoints: (T, people, joints, 3). |x[t+1] - 2 x[t] + x[t-1]| in pixels, over joints with
    score > .3 in all three frames, over `body_size`, averaged over joints, frames and people. A
    steady motion has none; a joint that jumps to and fro by 1 % of the body has .02.
    NaN when no joint is seen three frames long.
    """
    fractions = []
    for person in np.moveaxis(keypoints, 1, 0):
        steps = np.linalg.norm(np.diff(person[..., :2], 2, axis=0), axis=-1)
        seen = person[..., 2] > CONFIDENT
        steady = seen[2:] & seen[1:-1] & seen[:-2]
        size = body_size(person)
        if steady.any() and size > 0:
            fractions.append(steps[steady] / size)
    return float(np.concatenate(fractions).mean()) if fractions else float("nan")


def depth_flicker(depth: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute change of depth from frame to frame, where the person is in both.

    depth: (T, H, W) in [0, 1]; mask: (T, H, W) uint8, 128 and up is the person. In units of depth,
    averaged over pixels and pairs of frames. NaN when no pixel is the person's twice running.
    """
    inside = (mask[1:] > _MASK) & (mask[:-1] > _MASK)
    if not inside.any():
        return float("nan")
    return float(np.abs(np.diff(depth, axis=0))[inside].mean(dtype=np.float64))
