"""Raw depth to the depth of a sample: one range for a whole video, foreground below background."""

import numpy as np

from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END

__all__ = ["LEAST_METRES", "LEAST_UNITS", "UNKNOWN_RANGE", "depth_range", "normalize_depth"]

# The reach of a person around the hips, in metres: for a video whose survey frames show nobody.
UNKNOWN_RANGE = (-0.8, 0.8)
# A person seen flat still gets this many metres of depth: a range of nothing would turn the
# noise of a standing body into the whole scale.
LEAST_METRES = 0.3
# Depth in a unit of its own: only a range of nothing must be avoided.
LEAST_UNITS = 1e-4


def depth_range(
    depth: np.ndarray,
    *,
    percentile: float = 0.5,
    margin: float = 0.15,
    least_extent: float = LEAST_METRES,
) -> tuple[float, float]:
    """(near, far) for a video, from the depth of a few frames spread over it.

    depth: any shape, metres or any unit, NaN where there is no person. The range runs between the
    lowest and highest `percentile` (a few wild pixels do not matter), widened at each end by
    `margin` of its extent, since frames between those surveyed reach further, and to
    `least_extent` at least. `UNKNOWN_RANGE`, which means something for metres alone, when all is
    NaN.
    """
    known = depth[np.isfinite(depth)]
    if not known.size:
        return UNKNOWN_RANGE
    near, far = (float(v) for v in np.percentile(known, [percentile, 100 - percentile]))
    extra = max(margin * (far - near), (least_extent - (far - near)) / 2)
    return near - extra, far + extra


def normalize_depth(
    depth: np.ndarray, near: float, far: float, *, end: float = FOREGROUND_DEPTH_END
) -> tuple[np.ndarray, int]:
    """Raw depth to a sample's depth in [0, 1], and how many pixels had to be clamped.

    depth: any shape, any unit, smaller is nearer, NaN in the background. Returns float32 of the
    same shape: near is 0, far is `end` (1 for depth of the whole frame, which has no background),
    background is exactly `BACKGROUND_DEPTH`; and the number of foreground pixels outside
    [near, far]. Raises ValueError unless near < far, both finite.
    """
    if not (np.isfinite(near) and np.isfinite(far) and near < far):
        raise ValueError(f"a depth range needs near < far, both finite, not ({near}, {far})")
    foreground = np.isfinite(depth)
    inside = np.clip(depth[foreground], near, far)
    clamped = int((inside != depth[foreground]).sum())
    normal = np.full(depth.shape, BACKGROUND_DEPTH, dtype=np.float32)
    share = np.clip((inside - near) / (far - near), 0, 1)
    normal[foreground] = share * end
    return normal, clamped
