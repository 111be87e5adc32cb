"""The kernels of `preprocess.sources.people.rasterize`; importing this imports warp."""

# mypy: ignore-errors
import numpy as np
import warp as wp

__all__ = ["draw", "skin"]

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
