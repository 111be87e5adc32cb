"""The kernels of `preprocess.sources.people.rasterize`; importing this imports warp."""

# mypy: ignore-errors
# ruff: noqa: UP018, RUF046
# float(0.0) is how a kernel says that a variable will change.
import numpy as np
import warp as wp

__all__ = ["draw", "light", "mix", "place", "shade", "skin", "trace"]

wp.config.quiet = True


@wp.kernel
def _skin(
    rest: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    weights: wp.array2d(dtype=wp.float32),
    influences: wp.array2d(dtype=wp.int32),
    turns: wp.array(dtype=wp.mat33),
    moves: wp.array(dtype=wp.vec3),
    placed: wp.array(dtype=wp.vec3),
    turned: wp.array(dtype=wp.vec3),
):
    v = wp.tid()
    p = wp.vec3(0.0, 0.0, 0.0)
    n = wp.vec3(0.0, 0.0, 0.0)
    for k in range(weights.shape[1]):
        w = weights[v, k]
        if w > 0.0:
            bone = influences[v, k]
            p += w * (turns[bone] * rest[v] + moves[bone])
            n += w * (turns[bone] * normals[v])
    placed[v] = p
    turned[v] = wp.normalize(n)


@wp.kernel
def _draw(
    points: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    depth: wp.array2d(dtype=wp.float32),
    face: wp.array2d(dtype=wp.int32),
):
    f = wp.tid()
    a = points[faces[f, 0]]
    b = points[faces[f, 1]]
    c = points[faces[f, 2]]
    if a[2] > 0.05 and b[2] > 0.05 and c[2] > 0.05:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if wp.abs(area) > 1.0e-9:
            low_x = wp.max(0, int(wp.ceil(wp.min(a[0], wp.min(b[0], c[0])))))
            high_x = wp.min(depth.shape[1] - 1, int(wp.floor(wp.max(a[0], wp.max(b[0], c[0])))))
            low_y = wp.max(0, int(wp.ceil(wp.min(a[1], wp.min(b[1], c[1])))))
            high_y = wp.min(depth.shape[0] - 1, int(wp.floor(wp.max(a[1], wp.max(b[1], c[1])))))
            scale = 1.0 / area
            near_a = 1.0 / a[2]
            near_b = 1.0 / b[2]
            near_c = 1.0 / c[2]
            for y in range(low_y, high_y + 1):
                for x in range(low_x, high_x + 1):
                    px = float(x)
                    py = float(y)
                    u = ((b[0] - px) * (c[1] - py) - (c[0] - px) * (b[1] - py)) * scale
                    v = ((c[0] - px) * (a[1] - py) - (a[0] - px) * (c[1] - py)) * scale
                    w = 1.0 - u - v
                    if u >= 0.0 and v >= 0.0 and w >= 0.0:
                        # The inverse of depth is linear in the picture.
                        z = 1.0 / (u * near_a + v * near_b + w * near_c)
                        if z < depth[y, x]:
                            depth[y, x] = z
                            face[y, x] = f


@wp.kernel
def _place(
    covered: wp.array(dtype=wp.int32),
    width: int,
    points: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    face: wp.array(dtype=wp.int32),
    corners: wp.array2d(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    at = covered[i]
    x = float(at % width)
    y = float(at / width)
    f = face[at]
    a = points[faces[f, 0]]
    b = points[faces[f, 1]]
    c = points[faces[f, 2]]
    # Areas of the triangles that the sample makes with two corners; over depth, the surface's own.
    u = ((b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)) / a[2]
    v = ((c[0] - x) * (a[1] - y) - (a[0] - x) * (c[1] - y)) / b[2]
    w = ((a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y)) / c[2]
    whole = u + v + w
    corners[i, 0] = faces[f, 0]
    corners[i, 1] = faces[f, 1]
    corners[i, 2] = faces[f, 2]
    weights[i] = wp.vec3(
        wp.clamp(u / whole, 0.0, 1.0), wp.clamp(v / whole, 0.0, 1.0), wp.clamp(w / whole, 0.0, 1.0)
    )


@wp.kernel
def _mix3(
    values: wp.array(dtype=wp.vec3),
    corners: wp.array2d(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    mixed: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    w = weights[i]
    mixed[i] = (
        w[0] * values[corners[i, 0]] + w[1] * values[corners[i, 1]] + w[2] * values[corners[i, 2]]
    )


@wp.kernel
def _mix1(
    values: wp.array(dtype=wp.float32),
    corners: wp.array2d(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    mixed: wp.array(dtype=wp.float32),
):
    i = wp.tid()
    w = weights[i]
    mixed[i] = (
        w[0] * values[corners[i, 0]] + w[1] * values[corners[i, 1]] + w[2] * values[corners[i, 2]]
    )


@wp.func
def _shadow_place(p: wp.vec3, axes: wp.mat33, centre: wp.vec3, reach: float, side: int) -> wp.vec3:
    q = axes * (p - centre)
    half = 0.5 * float(side)
    return wp.vec3((q[0] / reach + 1.0) * half, (q[1] / reach + 1.0) * half, q[2])


@wp.kernel
def _light(
    albedo: wp.array(dtype=wp.vec3),
    gloss: wp.array(dtype=wp.float32),
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    eye: wp.vec3,
    towards: wp.vec3,
    direct: wp.vec3,
    ambient: wp.vec3,
    axes: wp.mat33,
    centre: wp.vec3,
    reach: float,
    depth: wp.array2d(dtype=wp.float32),
    colour: wp.array(dtype=wp.vec3),
    facing: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    p = points[i]
    to_eye = wp.normalize(eye - p)
    n = wp.normalize(normals[i])
    if wp.dot(n, to_eye) < 0.0:  # the inner side of cloth and hair is seen from behind
        n = -n
    side = depth.shape[0]
    q = _shadow_place(p, axes, centre, reach, side)
    open_ = float(0.0)
    for k in range(4):
        # Four places around it, turned against the grid.
        dx = float(0.3)
        dy = float(0.7)
        if k == 0:
            dx = -0.7
            dy = -0.3
        if k == 1:
            dx = 0.3
            dy = -0.7
        if k == 2:
            dx = 0.7
            dy = 0.3
        if k == 3:
            dx = -0.3
        x = wp.clamp(int(wp.rint(q[0] + dx)), 0, side - 1)
        y = wp.clamp(int(wp.rint(q[1] + dy)), 0, side - 1)
        if depth[y, x] > q[2] - 0.045:
            open_ += 0.25
    straight = wp.clamp((wp.dot(n, towards) + 0.15) / 1.15, 0.0, 1.0) * open_
    up = 0.5 + 0.5 * n[2]
    around = (0.5 + 0.5 * up) * (0.72 + 0.28 * wp.clamp(p[2] / 0.5, 0.0, 1.0))
    half = wp.normalize(towards + to_eye)
    shine = gloss[i] * wp.pow(wp.clamp(wp.dot(n, half), 0.0, 1.0), 24.0) * straight
    lit = wp.cw_mul(albedo[i], straight * direct + around * ambient)
    colour[i] = lit + shine * direct
    facing[i] = n


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


@wp.kernel
def _shade(
    points: wp.array(dtype=wp.vec3),
    albedo: wp.array(dtype=wp.vec3),
    facing: wp.array(dtype=wp.float32),
    around: wp.array(dtype=wp.float32),
    direct: wp.vec3,
    ambient: wp.vec3,
    axes: wp.mat33,
    centre: wp.vec3,
    reach: float,
    people: wp.array2d(dtype=wp.float32),
    lit: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    side = people.shape[0]
    q = _shadow_place(points[i], axes, centre, reach, side)
    covered = float(0.0)
    # The light passes people before it comes to what they stand before.
    inside = q[0] >= 0.0 and q[1] >= 0.0 and q[0] < float(side - 1) and q[1] < float(side - 1)
    if inside and q[2] > -1.5:
        x = int(wp.floor(q[0]))
        y = int(wp.floor(q[1]))
        fx = q[0] - float(x)
        fy = q[1] - float(y)
        covered = (1.0 - fy) * ((1.0 - fx) * people[y, x] + fx * people[y, x + 1]) + fy * (
            (1.0 - fx) * people[y + 1, x] + fx * people[y + 1, x + 1]
        )
    lit[i] = wp.cw_mul(albedo[i], (facing[i] * (1.0 - covered)) * direct + around[i] * ambient)


def _array(values: np.ndarray, dtype: type) -> wp.array:
    """Shares memory with `values` where they are laid out already."""
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device="cpu", copy=False)


def skin(
    rest: np.ndarray,
    normals: np.ndarray,
    weights: np.ndarray,
    influences: np.ndarray,
    transforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    transforms = transforms.astype(np.float32)
    placed, turned = np.empty_like(rest), np.empty_like(rest)
    wp.launch(
        _skin,
        dim=len(rest),
        inputs=[
            _array(rest, wp.vec3),
            _array(normals, wp.vec3),
            _array(weights, wp.float32),
            _array(influences, wp.int32),
            _array(transforms[:, :, :3], wp.mat33),
            _array(transforms[:, :, 3], wp.vec3),
            _array(placed, wp.vec3),
            _array(turned, wp.vec3),
        ],
        device="cpu",
    )
    return placed, turned


def draw(points: np.ndarray, faces: np.ndarray, depth: np.ndarray, face: np.ndarray) -> None:
    wp.launch(
        _draw,
        dim=len(faces),
        inputs=[
            _array(points.astype(np.float32), wp.vec3),
            _array(faces, wp.int32),
            _array(depth, wp.float32),
            _array(face, wp.int32),
        ],
        device="cpu",
    )


def _vec(values: np.ndarray) -> wp.vec3:
    return wp.vec3(*(float(v) for v in values))


def _mat(values: np.ndarray) -> wp.mat33:
    return wp.mat33(*(float(v) for v in values.ravel()))


def _run(kernel: wp.Kernel, count: int, *inputs: object) -> None:
    wp.launch(kernel, dim=count, inputs=list(inputs), device="cpu")


def place(
    covered: np.ndarray, width: int, points: np.ndarray, faces: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    corners = np.empty((len(covered), 3), np.int32)
    weights = np.empty((len(covered), 3), np.float32)
    if len(covered):
        _run(
            _place, len(covered), _array(covered, wp.int32), width, _array(points, wp.vec3),
            _array(faces, wp.int32), _array(face.ravel(), wp.int32), _array(corners, wp.int32),
            _array(weights, wp.vec3),
        )  # fmt: skip
    return corners, weights


def mix(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    kernel, dtype = (_mix1, wp.float32) if values.ndim == 1 else (_mix3, wp.vec3)
    mixed = np.empty((len(corners), *values.shape[1:]), np.float32)
    if len(corners):
        _run(
            kernel, len(corners), _array(values, dtype), _array(corners, wp.int32),
            _array(weights, wp.vec3), _array(mixed, dtype),
        )  # fmt: skip
    return mixed


def light(
    albedo: np.ndarray,
    gloss: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    eye: np.ndarray,
    towards: np.ndarray,
    direct: np.ndarray,
    ambient: np.ndarray,
    axes: np.ndarray,
    centre: np.ndarray,
    reach: float,
    depth: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    colour, facing = np.empty_like(points), np.empty_like(points)
    if len(points):
        _run(
            _light, len(points), _array(albedo, wp.vec3), _array(gloss, wp.float32),
            _array(points, wp.vec3), _array(normals, wp.vec3), _vec(eye), _vec(towards),
            _vec(direct), _vec(ambient), _mat(axes), _vec(centre), float(reach),
            _array(depth, wp.float32), _array(colour, wp.vec3), _array(facing, wp.vec3),
        )  # fmt: skip
    return colour, facing


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
    _run(
        _trace, count, width, float(step), *(_vec(v) for v in rays), _vec(eye), _vec(low),
        _vec(high), float(tops), float(far), _vec(towards), _array(texels, wp.vec3),
        _array(offsets, wp.int32), _array(sides, wp.int32), _array(scales, wp.float32),
        _array(decals[0], wp.int32), _array(decals[1], wp.vec2), _array(decals[2], wp.vec2),
        _array(decals[3], wp.float32), *(_array(b, wp.vec3) for b in boxes),
        *(_vec(v) for v in sky), *(_array(o, k) for o, k in zip(out, kinds, strict=True)),
    )  # fmt: skip
    return out


def shade(
    points: np.ndarray,
    albedo: np.ndarray,
    facing: np.ndarray,
    around: np.ndarray,
    direct: np.ndarray,
    ambient: np.ndarray,
    axes: np.ndarray,
    centre: np.ndarray,
    reach: float,
    people: np.ndarray,
) -> np.ndarray:
    lit = np.empty_like(points)
    _run(
        _shade, len(points), _array(points, wp.vec3), _array(albedo, wp.vec3),
        _array(facing, wp.float32), _array(around, wp.float32), _vec(direct), _vec(ambient),
        _mat(axes), _vec(centre), float(reach), _array(people, wp.float32), _array(lit, wp.vec3),
    )  # fmt: skip
    return lit
