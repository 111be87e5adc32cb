"""Skinning and a z-buffer: from vertices and bones to what each sample of a picture shows."""

# mypy: disable-error-code="valid-type, no-untyped-def"

from typing import Any

import numpy as np
import warp as wp

from preprocess.sources.people.launch import array, run

__all__ = ["Buffer", "mix", "places", "skin"]


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
def _mix(
    values: wp.array(dtype=Any),
    corners: wp.array2d(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    mixed: wp.array(dtype=Any),
):
    i = wp.tid()
    w = weights[i]
    mixed[i] = (
        w[0] * values[corners[i, 0]] + w[1] * values[corners[i, 1]] + w[2] * values[corners[i, 2]]
    )


def skin(
    rest: np.ndarray,
    normals: np.ndarray,
    weights: np.ndarray,
    influences: np.ndarray,
    transforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and their normals (V, 3) float32 where the bones carry them.

    rest, normals: (V, 3) float32; weights, influences: (V, K); transforms: (B, 3, 4) of one frame.
    """
    turns, moves = (transforms[:, :, part].astype(np.float32) for part in (slice(3), 3))
    placed, turned = np.empty_like(rest), np.empty_like(rest)
    run(
        _skin, len(rest), array(rest, wp.vec3), array(normals, wp.vec3), array(weights, wp.float32),
        array(influences, wp.int32), array(turns, wp.mat33), array(moves, wp.vec3),
        array(placed, wp.vec3), array(turned, wp.vec3),
    )  # fmt: skip
    return placed, turned


class Buffer:
    """What is seen through each sample of a picture, nearest first.

    `depth` (H, W) float32 metres along the viewing axis, inf where there is nothing.
    `face`  (H, W) int32 number of the triangle, -1 where there is nothing.
    """

    def __init__(self, width: int, height: int) -> None:
        self.depth = np.full((height, width), np.inf, np.float32)
        self.face = np.full((height, width), -1, np.int32)

    def draw(self, points: np.ndarray, faces: np.ndarray) -> None:
        """Triangles (F, 3) int32 of points (V, 3) float32: x and y in samples, z in metres.

        Sample (row 0, column 0) is at x = y = 0. Both sides are drawn; what is nearer than 5 cm
        is not.
        """
        run(
            _draw, len(faces), array(points, wp.vec3), array(faces, wp.int32),
            array(self.depth, wp.float32), array(self.face, wp.int32),
        )  # fmt: skip


def places(
    buffer: Buffer, points: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns (N,), corners (N, 3) int32 and weights (N, 3) float32 of covered samples.

    The weights are those of the surface, not of its image: perspective is undone.
    """
    width = buffer.face.shape[1]
    covered = np.flatnonzero(buffer.face.ravel() >= 0).astype(np.int32)
    corners = np.empty((len(covered), 3), np.int32)
    weights = np.empty((len(covered), 3), np.float32)
    run(
        _place, len(covered), array(covered, wp.int32), width, array(points, wp.vec3),
        array(faces, wp.int32), array(buffer.face.ravel(), wp.int32), array(corners, wp.int32),
        array(weights, wp.vec3),
    )  # fmt: skip
    return covered // width, covered % width, corners, weights


def mix(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (V, 3) or (V,) float32 of vertices at the samples that `places` gives."""
    dtype = wp.float32 if values.ndim == 1 else wp.vec3
    mixed = np.empty((len(corners), *values.shape[1:]), np.float32)
    run(
        _mix, len(corners), array(values, dtype), array(corners, wp.int32),
        array(weights, wp.vec3), array(mixed, dtype),
    )  # fmt: skip
    return mixed
