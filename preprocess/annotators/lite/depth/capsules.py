"""A body with thickness: joints to tapered capsules, as thick as the mask says the person is."""

from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.depth.bones import BONES, JOINTS
from preprocess.annotators.lite.depth.motion import BodyMotion

__all__ = ["TUBES", "Capsules", "Tube", "body_capsules", "fit_girth", "front_surface"]

# The most a radius may change per unit of length as seen; at 1 one end hides the other's outline.
_STEEPEST = np.float32(0.9)


@dataclass(frozen=True, eq=False)
class Capsules:
    """K balls swept along straight axes while their radius changes; all in pixels.

    `start`, `end`               (K, 3) float: x right, y down, z away from the camera.
    `start_radius`, `end_radius` (K,) float > 0.
    """

    start: np.ndarray
    end: np.ndarray
    start_radius: np.ndarray
    end_radius: np.ndarray


def front_surface(capsules: Capsules, height: int, width: int) -> np.ndarray:
    """(height, width) float32: z in pixels of the nearest surface, inf where there is none."""
    surface = np.full((height, width), np.inf, dtype=np.float32)
    low = np.minimum(
        capsules.start[:, :2] - capsules.start_radius[:, None],
        capsules.end[:, :2] - capsules.end_radius[:, None],
    )
    high = np.maximum(
        capsules.start[:, :2] + capsules.start_radius[:, None],
        capsules.end[:, :2] + capsules.end_radius[:, None],
    )
    first = np.clip(np.floor(low), 0, [width, height]).astype(int)
    last = np.clip(np.ceil(high) + 1, 0, [width, height]).astype(int)
    for k, ((x0, y0), (x1, y1)) in enumerate(zip(first, last, strict=True)):
        if x0 < x1 and y0 < y1:
            window = surface[y0:y1, x0:x1]
            front = _front(
                np.arange(x0, x1, dtype=np.float32)[None, :],
                np.arange(y0, y1, dtype=np.float32)[:, None],
                capsules.start[k],
                capsules.end[k],
                capsules.start_radius[k],
                capsules.end_radius[k],
            )
            np.minimum(window, front, out=window)
    return surface


def _front(
    x: np.ndarray, y: np.ndarray, start: np.ndarray, end: np.ndarray, r0: float, r1: float
) -> np.ndarray:
    """The front of one capsule on a grid, inf beside it.

    Let u run along the axis's shadow of length l and v across it, let the axis gain dz in depth
    and its radius c, and a = l^2 - c^2. At a pixel, the ball at t rises above its centre by
    sqrt(h(t)) with h(t) = (r0 + c t)^2 - v^2 - (u - t l)^2, which has its summit H at
    s = (r0 c + u l) / a. The front z0 + t dz - sqrt(h(t)) is convex in t, and least at
    s - dz sqrt(H / (a (a + dz^2))).
    """
    dx, dy, dz = (np.float32(d) for d in end - start)
    length = max(np.hypot(dx, dy), np.float32(1e-3))
    taper = np.float32(r1 - r0)
    if abs(taper) > _STEEPEST * length:
        # It points at the camera to within a few degrees, and one end's ball hides the other's
        # outline (a <= 0): taper less around the same mean radius.
        gentle = np.copysign(_STEEPEST * length, taper)
        r0, taper = r0 + (taper - gentle) / 2, gentle
    first = np.float32(r0)

    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    u = (x * dx + y * dy) / length
    rest = np.square(first) - x * x - y * y  # h(0)
    a = length**2 - taper**2
    summit = (first * taper + u * length) / a
    height = np.maximum(rest + a * np.square(summit), 0)
    t = np.clip(summit - dz * np.sqrt(height / (a * (a + dz**2))), 0, 1)
    rise = rest + t * a * (2 * summit - t)
    z = np.float32(start[2]) + t * dz - np.sqrt(np.maximum(rise, 0))
    return np.where(rise >= 0, z, np.float32(np.inf))


Point = dict[str, float]  # a weighted sum of joints; the weights add up to 1


@dataclass(frozen=True)
class Tube:
    """A tapered capsule between two points of the body.

    Radii are in metres, of a body whose trunk, thigh and shin together measure `_FIT_LENGTH`.
    """

    start: Point
    end: Point
    start_radius: float
    end_radius: float


def _between(a: str, b: str, share: float) -> Point:
    """The point at `share` of the way from joint a to joint b; beyond b for more than 1."""
    return {a: 1 - share, b: share} if share != 1 else {b: 1.0}


def _limbs(side: str) -> tuple[Tube, ...]:
    hip, knee, ankle, heel, toe = (f"{side}_{j}" for j in ("hip", "knee", "ankle", "heel", "toe"))
    shoulder, elbow, wrist, hand = (f"{side}_{j}" for j in ("shoulder", "elbow", "wrist", "hand"))
    return (
        Tube(_between("mid_hip", hip, 0.27), _between("neck", shoulder, 0.43), 0.11, 0.099),
        Tube({shoulder: 1.0}, {elbow: 1.0}, 0.045, 0.044),
        Tube({elbow: 1.0}, {wrist: 1.0}, 0.043, 0.029),
        # The hand's joint is at its knuckles: fingers go on beyond it.
        Tube({wrist: 1.0}, _between(wrist, hand, 1.28), 0.027, 0.048),
        Tube({hip: 1.0}, {knee: 1.0}, 0.098, 0.069),
        Tube({knee: 1.0}, {ankle: 1.0}, 0.064, 0.038),
        Tube({ankle: 1.0}, {heel: 1.0}, 0.043, 0.027),
        Tube({heel: 1.0}, {toe: 1.0}, 0.036, 0.036),
        Tube({ankle: 1.0}, {toe: 1.0}, 0.024, 0.015),
    )


# Radii and places were fitted to other rendered bodies, unclothed, than `idol-bench annotators`
# measures them on.
TUBES: tuple[Tube, ...] = (
    Tube({"left_hip": 1.0}, {"right_hip": 1.0}, 0.06, 0.06),
    Tube({"left_shoulder": 1.0}, {"right_shoulder": 1.0}, 0.062, 0.062),
    Tube({"mid_hip": 1.0}, {"neck": 1.0}, 0.107, 0.09),
    Tube({"neck": 1.0}, {"head": 1.0}, 0.043, 0.06),
    Tube({"head": 1.0}, _between("neck", "head", 1.27), 0.077, 0.09),
    Tube({"head": 1.0}, _between("head", "face", 0.4), 0.077, 0.074),
    *_limbs("left"),
    *_limbs("right"),
)


def _weights(points: list[Point]) -> np.ndarray:
    return np.array([[point.get(joint, 0.0) for joint in JOINTS] for point in points])


_STARTS = _weights([tube.start for tube in TUBES])  # (K, J)
_ENDS = _weights([tube.end for tube in TUBES])
_RADII = np.array([[tube.start_radius, tube.end_radius] for tube in TUBES])  # (K, 2)

# Trunk, thigh and shin: bones that are long, and so relatively well known.
_SIZE_BONES = [
    [(JOINTS[bone.parent], JOINTS[bone.child]) for bone in BONES].index(ends)
    for ends in (("mid_hip", "neck"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"))
]
_FIT_LENGTH = 1.3

# Rendered bodies are closest to the truth when the capsules, which cannot follow every hollow,
# cover this fraction of the true silhouette's area.
_COVER = 1.035
# Thinner and stouter than this is not the person but a mask that holds something else.
_GIRTHS = (0.8, 1.3)
# Silhouettes are compared on this many frames, shrunk to about this size: areas need no detail.
_GIRTH_FRAMES = 4
_GIRTH_SIZE = 96


def body_capsules(
    motion: BodyMotion, frame: int, girth: float = 1.0, zoom: float = 1.0
) -> Capsules:
    """The capsules of one frame, in pixels of the image times `zoom`.

    frame: index into `motion.frames`; girth: a factor on every radius. z is 0 at the mid-hip.
    """
    scale = motion.scale[frame] * zoom
    joints = np.column_stack([motion.pixels[frame] * zoom, motion.metres[frame, :, 2] * scale])
    size = motion.lengths[_SIZE_BONES].sum() / _FIT_LENGTH
    radii = _RADII * (size * girth * scale)
    return Capsules(_STARTS @ joints, _ENDS @ joints, radii[:, 0], radii[:, 1])


def fit_girth(motion: BodyMotion, masks: np.ndarray) -> float:
    """How stout the person is, as a factor on the radii: that which makes areas agree.

    masks: (T, H, W) bool for the whole clip. One factor for the clip, the median over a few of
    its frames; 1 where no frame shows the body in its mask.
    """
    stride = max(1, max(masks.shape[1:]) // _GIRTH_SIZE)
    count = len(motion.frames)
    factors = []
    for frame in np.unique(np.linspace(0, count - 1, min(count, _GIRTH_FRAMES)).astype(int)):
        mask = masks[motion.frames[frame], ::stride, ::stride]
        drawn = [
            np.isfinite(
                front_surface(body_capsules(motion, frame, g, 1 / stride), *mask.shape)
            ).sum()
            for g in _GIRTHS
        ]
        if mask.any() and drawn[1] > drawn[0]:
            # Area grows nearly in proportion to girth between the two.
            share = (_COVER * mask.sum() - drawn[0]) / (drawn[1] - drawn[0])
            factors.append(_GIRTHS[0] + share * (_GIRTHS[1] - _GIRTHS[0]))
    return float(np.clip(np.median(factors), *_GIRTHS)) if factors else 1.0
