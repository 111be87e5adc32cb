"""Light on people and on the stage, with the shadows that people throw."""

# mypy: disable-error-code="valid-type, no-untyped-def"
# ruff: noqa: UP018
# float(0.0) is how a kernel says that a variable will change.

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import warp as wp

from preprocess.sources.people.launch import array, mat, run, vec
from preprocess.sources.people.rasterize import Buffer
from preprocess.sources.people.rotations import unit
from preprocess.sources.people.stage import Backdrop, Light
from shards.sample.keypoints import OPENPOSE_134

__all__ = ["Shadow", "under_feet"]

_SIDE = 320  # samples of the shadow map, each way
_REACH = 1.7  # metres to either side that it sees


@wp.func
def _in_map(p: wp.vec3, axes: wp.mat33, centre: wp.vec3, reach: float, side: int) -> wp.vec3:
    q = axes * (p - centre)
    half = 0.5 * float(side)
    return wp.vec3((q[0] / reach + 1.0) * half, (q[1] / reach + 1.0) * half, q[2])


@wp.kernel
def _on_person(
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
    q = _in_map(p, axes, centre, reach, side)
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


@wp.kernel
def _on_stage(
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
    q = _in_map(points[i], axes, centre, reach, side)
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


@dataclass(frozen=True, eq=False)
class Shadow:
    """People as the light sees them.

    `axes` (3, 3) rows: across, up, away from the light; `centre` (3,) of what it sees; `depth`
    (S, S) metres along the light's way, inf where nobody is.
    """

    light: Light
    axes: np.ndarray
    centre: np.ndarray
    depth: np.ndarray

    @staticmethod
    def of(
        light: Light,
        everything: Sequence[np.ndarray],
        throwing: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> "Shadow":
        """Of meshes' vertices (V, 3) in the world, all of which it looks at; `throwing`: those
        that throw it, with their faces (F, 3)."""
        away = -light.towards
        across = unit(np.cross(away, [0.0, 0.0, 1.0]))
        axes = np.stack([across, np.cross(away, across), away])
        some = np.concatenate([vertices[::16] for vertices in everything])
        centre = 0.5 * (some.min(0) + some.max(0))
        buffer = Buffer(_SIDE, _SIDE)
        for vertices, faces in throwing:
            points = (vertices - centre.astype(np.float32)) @ axes.T.astype(np.float32)
            points[:, :2] = (points[:, :2] / np.float32(_REACH) + 1) * np.float32(0.5 * _SIDE)
            points[:, 2] += 100.0  # so far away that perspective is none
            buffer.draw(points.astype(np.float32), faces)
        return Shadow(light, axes, centre, buffer.depth - 100.0)

    def on_person(
        self,
        albedo: np.ndarray,
        gloss: np.ndarray,
        points: np.ndarray,
        normals: np.ndarray,
        eye: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Linear RGB (N, 3) of people's samples, and their unit normals, turned to the eye.

        albedo (N, 3), gloss (N,), points and normals (N, 3) in the world: float32.
        """
        colour, facing = np.empty_like(points), np.empty_like(points)
        run(
            _on_person, len(points), array(albedo, wp.vec3), array(gloss, wp.float32),
            array(points, wp.vec3), array(normals, wp.vec3), vec(eye), vec(self.light.towards),
            vec(self.light.direct), vec(self.light.ambient), mat(self.axes), vec(self.centre),
            float(_REACH), array(self.depth, wp.float32), array(colour, wp.vec3),
            array(facing, wp.vec3),
        )  # fmt: skip
        return colour, facing

    def on_stage(self, behind: Backdrop) -> np.ndarray:
        """(H * W, 3) linear RGB of the stage, with people's soft shadows."""
        there = np.isfinite(self.depth).astype(np.float32)
        sigma = max(self.light.softness / _REACH * 0.5 * _SIDE * 0.5, 0.6)
        people = cv2.GaussianBlur(there, (0, 0), sigma)
        lit = np.empty_like(behind.points)
        run(
            _on_stage, len(lit), array(behind.points, wp.vec3), array(behind.albedo, wp.vec3),
            array(behind.facing, wp.float32), array(behind.around, wp.float32),
            vec(self.light.direct), vec(self.light.ambient), mat(self.axes), vec(self.centre),
            float(_REACH), array(people, wp.float32), array(lit, wp.vec3),
        )  # fmt: skip
        return lit


def under_feet(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N,) float32, how much light of all around reaches the stage's points (N, 3): less on the
    floor close to feet, and a little less under bodies, as joints (P, 134, 3) have them."""
    light = np.ones(len(points), np.float32)
    names = OPENPOSE_134
    low, high = np.nanmin(joints, (0, 1))[:2] - 1.2, np.nanmax(joints, (0, 1))[:2] + 1.2
    x, y, z = points.T
    floor = np.flatnonzero((z < 0.01) & (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
    x, y = x[floor], y[floor]
    ends = [(f"{side}_heel", f"{side}_big_toe", 0.6, 0.13) for side in ("left", "right")]
    for person in joints:
        for one, two, dark, reach in (*ends, ("left_hip", "right_hip", 0.35, 0.4)):
            a, b = person[names.indices(one, two)].astype(np.float32)
            if one != "left_hip":  # feet in the air darken less
                dark *= float(np.exp(-max(min(a[2], b[2]) - 0.04, 0) / 0.08))
            low, high = np.minimum(a, b) - 2 * reach, np.maximum(a, b) + 2 * reach
            near = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
            along = b[:2] - a[:2]
            off = np.stack([x[near], y[near]], -1) - a[:2]
            share = np.clip(off @ along / max(float(along @ along), 1e-9), 0, 1)
            away = ((off - share[:, None] * along) ** 2).sum(-1)
            light[floor[near]] *= 1 - np.float32(dark) * np.exp(away * np.float32(-1 / reach**2))
    return light
