"""A box-shaped stage seen from within: which surface each sample shows, and its colour."""

# mypy: disable-error-code="valid-type, no-untyped-def, operator"
# ruff: noqa: UP018, RUF046
# float(0.0) is how a kernel says that a variable will change.

import numpy as np
import warp as wp

from preprocess.sources.people.launch import array, run, vec

__all__ = ["trace"]


@wp.func
def _texel(texels: wp.array(dtype=wp.vec3), offset: int, side: int, x: int, y: int) -> wp.vec3:
    return texels[offset + ((y + side) % side) * side + (x + side) % side]


@wp.func
def _texture(
    texels: wp.array(dtype=wp.vec3),
    offsets: wp.array2d(dtype=wp.int32),
    sides: wp.array(dtype=wp.int32),
    which: int,
    u: float,
    v: float,
    wide: float,
) -> wp.vec3:
    """A tile at (u, v), averaged over `wide` of its sides; its first texel is at (0, 0)."""
    side = sides[which]
    level = int(wp.floor(wp.log2(wp.max(wide * float(side), 1.0))))
    level = wp.min(level, offsets.shape[1] - 1)
    while offsets[which, level] < 0:
        level -= 1
    small = side >> level
    # A texel of a smaller tile lies in the middle of those that it is the mean of.
    shift = (0.5 - 0.5 * float(1 << level)) / float(side)
    x = (u + shift - wp.floor(u + shift)) * float(small)
    y = (v + shift - wp.floor(v + shift)) * float(small)
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    fx = x - float(x0)
    fy = y - float(y0)
    offset = offsets[which, level]
    top = (1.0 - fx) * _texel(texels, offset, small, x0, y0) + fx * _texel(
        texels, offset, small, x0 + 1, y0
    )
    bottom = (1.0 - fx) * _texel(texels, offset, small, x0, y0 + 1) + fx * _texel(
        texels, offset, small, x0 + 1, y0 + 1
    )
    return (1.0 - fy) * top + fy * bottom


@wp.kernel
def _trace(
    width: int,
    step: float,
    corner: wp.vec3,
    right: wp.vec3,
    down: wp.vec3,
    eye: wp.vec3,
    low: wp.vec3,
    high: wp.vec3,
    tops: float,
    far: float,
    towards: wp.vec3,
    texels: wp.array(dtype=wp.vec3),
    offsets: wp.array2d(dtype=wp.int32),
    sides: wp.array(dtype=wp.int32),
    scales: wp.array(dtype=wp.float32),
    decal_face: wp.array(dtype=wp.int32),
    decal_low: wp.array(dtype=wp.vec2),
    decal_high: wp.array(dtype=wp.vec2),
    decal_shine: wp.array(dtype=wp.float32),
    box_low: wp.array(dtype=wp.vec3),
    box_high: wp.array(dtype=wp.vec3),
    box_colour: wp.array(dtype=wp.vec3),
    horizon: wp.vec3,
    overhead: wp.vec3,
    depth: wp.array(dtype=wp.float32),
    points: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    facing: wp.array(dtype=wp.float32),
    around: wp.array(dtype=wp.float32),
    surface: wp.array(dtype=wp.int32),
):
    i = wp.tid()
    d = corner + float(i % width) * right + float(i / width) * down
    t = float(1.0e9)
    face = int(0)
    axis = int(0)
    for k in range(3):
        if wp.abs(d[k]) > 1.0e-9:
            bound = high[k]
            toward = int(1)
            if d[k] < 0.0:
                bound = low[k]
                toward = 0
            tk = (bound - eye[k]) / d[k]
            if tk < t:
                t = tk
                axis = k
                face = 2 * k + toward
    for b in range(box_low.shape[0]):
        near = float(-1.0e9)
        away = float(1.0e9)
        side = int(0)
        for k in range(3):
            dk = d[k]
            if wp.abs(dk) < 1.0e-9:
                dk = 1.0e-9
            ta = (box_low[b][k] - eye[k]) / dk
            tb = (box_high[b][k] - eye[k]) / dk
            if wp.min(ta, tb) > near:
                near = wp.min(ta, tb)
                side = k
            away = wp.min(away, wp.max(ta, tb))
        if near < away and near > 0.05 and near < t:
            t = near
            axis = side
            face = 7 + b
    p = eye + t * d
    if t > far or (p[2] > tops and (face < 4 or face == 5)):
        face = 6
        t = far
        p = eye + t * d
    length = wp.length(d)
    n_dot_l = float(0.0)
    if face != 6:
        n_dot_l = wp.clamp(-wp.sign(d[axis]) * towards[axis], 0.0, 1.0)
    colour = wp.vec3(0.0, 0.0, 0.0)
    light = float(1.0)
    if face < 6:
        wide = t * step / wp.clamp(wp.abs(d[axis]) / length, 0.02, 1.0)
        a = int(0)
        b2 = int(2)
        if face < 2:
            a = 1
        if face > 3:
            b2 = 1
        scale = scales[face]
        colour = _texture(texels, offsets, sides, face, p[a] / scale, -p[b2] / scale, wide / scale)
        # Corners are darker.
        edge = p[2] - low[2]
        if axis == 2:
            edge = float(1.0e9)
        for k in range(2):
            if k != axis:
                edge = wp.min(edge, wp.min(p[k] - low[k], high[k] - p[k]))
        light = 1.0 - 0.3 * wp.exp(-edge / 0.35)
        for m in range(decal_face.shape[0]):
            if decal_face[m] == face:
                u = (p[a] - decal_low[m][0]) / (decal_high[m][0] - decal_low[m][0])
                v = (p[b2] - decal_low[m][1]) / (decal_high[m][1] - decal_low[m][1])
                if u >= 0.0 and u < 1.0 and v >= 0.0 and v < 1.0:
                    size = decal_high[m][0] - decal_low[m][0]
                    colour = _texture(texels, offsets, sides, 6 + m, u, 1.0 - v, wide / size)
                    light = 1.0 - 0.3 * wp.exp(-edge / 0.35) + decal_shine[m]
    elif face == 6:
        up = wp.sqrt(wp.clamp(d[2] / length, 0.0, 1.0))
        colour = horizon + up * (overhead - horizon)
    else:
        colour = box_colour[face - 7]
        light = 0.55 + 0.45 * wp.clamp(p[2] / wp.max(box_high[face - 7][2], 0.1), 0.0, 1.0)
    if face == 5:
        n_dot_l = 0.35
    depth[i] = t
    points[i] = p
    albedo[i] = wp.vec3(wp.pow(colour[0], 2.2), wp.pow(colour[1], 2.2), wp.pow(colour[2], 2.2))
    facing[i] = n_dot_l
    around[i] = light
    surface[i] = face


def trace(
    shape: tuple[int, int],
    step: float,
    rays: tuple[np.ndarray, np.ndarray, np.ndarray],
    eye: np.ndarray,
    room: tuple[np.ndarray, np.ndarray, float, float],
    towards: np.ndarray,
    tiles: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    decals: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    boxes: tuple[np.ndarray, np.ndarray, np.ndarray],
    sky: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, ...]:
    height, width = shape
    count = height * width
    low, high, tops, far = room
    texels, offsets, sides, scales = tiles
    out = (
        np.empty(count, np.float32), np.empty((count, 3), np.float32),
        np.empty((count, 3), np.float32), np.empty(count, np.float32),
        np.empty(count, np.float32), np.empty(count, np.int32),
    )  # fmt: skip
    kinds = (wp.float32, wp.vec3, wp.vec3, wp.float32, wp.float32, wp.int32)
    run(
        _trace, count, width, float(step), *(vec(v) for v in rays), vec(eye), vec(low),
        vec(high), float(tops), float(far), vec(towards), array(texels, wp.vec3),
        array(offsets, wp.int32), array(sides, wp.int32), array(scales, wp.float32),
        array(decals[0], wp.int32), array(decals[1], wp.vec2), array(decals[2], wp.vec2),
        array(decals[3], wp.float32), *(array(b, wp.vec3) for b in boxes),
        *(vec(v) for v in sky), *(array(o, k) for o, k in zip(out, kinds, strict=True)),
    )  # fmt: skip
    return out
