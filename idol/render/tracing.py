"""Pictures of a relief from anywhere, by casting rays on the CPU with NVIDIA's `warp`."""

# mypy: disable-error-code="valid-type, no-untyped-def, operator"
# ruff: noqa: UP018, RUF046
# float(0.0) is how a kernel says that a variable will change.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from idol.render.camera import Camera
from idol.render.relief import Relief
from idol.render.scene import person_at, wall
from shards.files.native_stderr import silent_stderr

__all__ = ["Tracer"]

wp.config.log_level = wp.LOG_ERROR  # else it greets
with silent_stderr():  # that there is no GPU, which nobody asked
    wp.init()
wp.set_module_options({"enable_backward": False})  # half the time to compile

_LAYERS = 12  # surfaces that a ray passes through, at most: soft edges behind soft edges


@wp.func
def _texel(picture: wp.array3d(dtype=wp.uint8), x: int, y: int) -> wp.vec3:
    column = wp.clamp(x, 0, picture.shape[1] - 1)
    row = wp.clamp(y, 0, picture.shape[0] - 1)
    return wp.vec3(
        float(picture[row, column, 0]),
        float(picture[row, column, 1]),
        float(picture[row, column, 2]),
    )


@wp.func
def _colour(picture: wp.array3d(dtype=wp.uint8), u: float, v: float) -> wp.vec3:
    """At a place of the picture, between its pixels, 0 to 255."""
    x = u * float(picture.shape[1]) - 0.5
    y = v * float(picture.shape[0]) - 0.5
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    fx = x - float(x0)
    fy = y - float(y0)
    top = (1.0 - fx) * _texel(picture, x0, y0) + fx * _texel(picture, x0 + 1, y0)
    below = (1.0 - fx) * _texel(picture, x0, y0 + 1) + fx * _texel(picture, x0 + 1, y0 + 1)
    return (1.0 - fy) * top + fy * below


@wp.func
def _value(grey: wp.array2d(dtype=wp.uint8), x: int, y: int) -> float:
    column = wp.clamp(x, 0, grey.shape[1] - 1)
    row = wp.clamp(y, 0, grey.shape[0] - 1)
    return float(grey[row, column]) / 255.0


@wp.func
def _grey(grey: wp.array2d(dtype=wp.uint8), u: float, v: float) -> float:
    x = u * float(grey.shape[1]) - 0.5
    y = v * float(grey.shape[0]) - 0.5
    x0 = int(wp.floor(x))
    y0 = int(wp.floor(y))
    fx = x - float(x0)
    fy = y - float(y0)
    top = (1.0 - fx) * _value(grey, x0, y0) + fx * _value(grey, x0 + 1, y0)
    below = (1.0 - fx) * _value(grey, x0, y0 + 1) + fx * _value(grey, x0 + 1, y0 + 1)
    return (1.0 - fy) * top + fy * below


@wp.kernel
def _trace(
    width: int,
    samples: int,
    corner: wp.vec3,
    right: wp.vec3,
    down: wp.vec3,
    eye: wp.vec3,
    person: wp.uint64,
    pixels: wp.array2d(dtype=wp.int32),
    colours: wp.array2d(dtype=wp.int32),
    seen: int,
    grid_width: int,
    grid_height: int,
    frame: wp.array3d(dtype=wp.uint8),
    alpha: wp.array2d(dtype=wp.uint8),
    behind: wp.uint64,
    places: wp.array2d(dtype=wp.float32),
    corners: wp.array2d(dtype=wp.int32),
    backdrop: wp.array3d(dtype=wp.uint8),
    opacity: wp.array2d(dtype=wp.uint8),
    margin: wp.vec2,
    ground: wp.vec3,
    image: wp.array(dtype=wp.vec3),
    cover: wp.array(dtype=wp.vec2),
):
    index = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    covered = wp.vec2(0.0, 0.0)
    for sample in range(samples * samples):
        # A little beside the middle: rays that meet an edge exactly can pass between two squares.
        x = float(index % width) + (float(sample % samples) + 0.5137) / float(samples)
        y = float(index // width) + (float(sample // samples) + 0.4891) / float(samples)
        ray = wp.normalize(corner + x * right + y * down)
        # What is behind: solid, so that nothing is looked for beyond it.
        last = float(1.0e9)
        ending = ground
        wall_there = float(0.0)
        hit = wp.mesh_query_ray(behind, eye, ray, last)
        if not hit.result:
            ray = wp.normalize(corner + (x + 0.003) * right + (y + 0.005) * down)
            hit = wp.mesh_query_ray(behind, eye, ray, last)
        if hit.result:
            face = hit.face
            a = corners[face, 0]
            b = corners[face, 1]
            c = corners[face, 2]
            w = 1.0 - hit.u - hit.v
            u = hit.u * places[a, 0] + hit.v * places[b, 0] + w * places[c, 0]
            v = hit.u * places[a, 1] + hit.v * places[b, 1] + w * places[c, 1]
            u = (u + margin[0]) / (1.0 + 2.0 * margin[0])
            v = (v + margin[1]) / (1.0 + 2.0 * margin[1])
            solid = _grey(opacity, u, v)
            ending = solid * _colour(backdrop, u, v) + (1.0 - solid) * ground
            wall_there = solid
            last = hit.t
        left = float(1.0)
        seen_colour = wp.vec3(0.0, 0.0, 0.0)
        start = float(0.0)
        layer = int(0)
        while layer < _LAYERS and left > 0.004:
            hit = wp.mesh_query_ray(person, eye + start * ray, ray, last - start)
            if not hit.result:
                break
            layer += 1
            square = hit.face // 2
            # Within the square: its corners are at (0, 0), (1, 0), (1, 1) and (0, 1).
            w = 1.0 - hit.u - hit.v
            along = hit.v + w
            across = w
            if hit.face % 2 == 1:
                along = hit.v
                across = hit.v + w
            u = (float(pixels[square, 0]) + along) / float(grid_width)
            v = (float(pixels[square, 1]) + across) / float(grid_height)
            here = wp.vec3(0.0, 0.0, 0.0)
            part = float(1.0)
            if square < seen:
                part = _grey(alpha, u, v)
                here = _colour(frame, u, v)
            else:
                u = (float(colours[square, 0]) + 0.5) / float(grid_width)
                v = (float(colours[square, 1]) + 0.5) / float(grid_height)
                here = _colour(frame, u, v)
            seen_colour += left * part * here
            left = left * (1.0 - part)
            start = start + hit.t * 1.00001 + 1.0e-6
        total += seen_colour + left * ending
        covered += wp.vec2(1.0 - left, wall_there)
    image[index] = total / float(samples * samples)
    cover[index] = covered / float(samples * samples)


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame's person as `warp` has it."""

    mesh: wp.Mesh
    pixels: wp.array
    colours: wp.array
    seen: int
    frame: wp.array
    alpha: wp.array


class Tracer:
    """Draws a relief; what does not change from picture to picture is made once.

    Args:
        ground: RGB where nothing is seen.
        samples: rays a pixel, along each side.
    """

    def __init__(
        self,
        relief: Relief,
        *,
        ground: tuple[int, int, int] = (24, 26, 31),
        samples: int = 2,
        depth_scale: float = 1.0,
    ) -> None:
        self._relief, self._samples, self._scale = relief, samples, depth_scale
        self._ground = wp.vec3(*(float(value) for value in ground))
        back = wall(relief, depth_scale=depth_scale)
        self._wall = _mesh(back.points, back.triangles)
        self._places = _array(back.places, wp.float32)
        self._corners = _array(back.triangles, wp.int32)
        self._picture = _array(relief.backdrop.picture, wp.uint8)
        self._opacity = _array(relief.backdrop.opacity, wp.uint8)
        self._frames: dict[int, _Frame] = {}

    def draw(self, frame: int, yaw: float, pitch: float, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8: a frame as seen from there, as much of it as at (0, 0).

        Where the picture is of another shape more is seen, never less.
        """
        image, _ = self._draw(frame, yaw, pitch, width, height)
        return np.clip(image + 0.5, 0, 255).astype(np.uint8)

    def coverage(self, frame: int, yaw: float, pitch: float, width: int, height: int) -> np.ndarray:
        """(height, width, 2) float32: how much of each pixel the person covers, and the place."""
        return self._draw(frame, yaw, pitch, width, height)[1]

    def _draw(
        self, frame: int, yaw: float, pitch: float, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray]:
        relief = self._relief
        made = self._made(frame)
        orbit = relief.orbit(yaw, pitch)
        corner, right, down = _rays(relief.camera, width, height)
        pivot, turn = np.array(relief.pivot), orbit.turn
        image = wp.zeros(width * height, dtype=wp.vec3, device="cpu")
        cover = wp.zeros(width * height, dtype=wp.vec2, device="cpu")
        inputs: list[Any] = [
            width, self._samples, *(wp.vec3(*(turn.T @ ray)) for ray in (corner, right, down)),
            wp.vec3(*(pivot - turn.T @ pivot)),
            made.mesh.id, made.pixels, made.colours, made.seen,
            relief.z.shape[2], relief.z.shape[1], made.frame, made.alpha,
            self._wall.id, self._places, self._corners, self._picture, self._opacity,
            wp.vec2(*relief.backdrop.margin), self._ground, image, cover,
        ]  # fmt: skip
        wp.launch(_trace, dim=width * height, inputs=inputs, device="cpu")
        shape = height, width
        return image.numpy().reshape(*shape, 3), cover.numpy().reshape(*shape, 2)

    def _made(self, frame: int) -> _Frame:
        if frame not in self._frames:
            relief = self._relief
            person = person_at(relief, frame, depth_scale=self._scale)
            points, triangles = person.points, person.triangles
            if not len(triangles):  # nobody: a mesh has to have something, far behind all
                points = np.full((3, 3), 1e9, np.float32)
                triangles = np.array([[0, 1, 2]], np.int32)
            self._frames = {
                frame: _Frame(
                    _mesh(points, triangles),
                    _array(person.pixels, wp.int32),
                    _array(person.colours, wp.int32),
                    person.seen,
                    _array(relief.colours[frame], wp.uint8),
                    _array(relief.alpha[frame], wp.uint8),
                )
            }
        return self._frames[frame]


def _rays(camera: Camera, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direction to the picture's top left corner, and steps of a pixel to the right and down."""
    wide = camera.half_width / camera.half_height
    zoom = max(width / height / wide, 1.0), max(wide * height / width, 1.0)
    u, v = (0.5 - zoom[0] / 2, 0.5 - zoom[1] / 2)
    corner = camera.points(np.array(u), np.array(v), np.array(1.0))
    right = np.array([2 * camera.half_width * zoom[0] / width, 0, 0])
    down = np.array([0, 2 * camera.half_height * zoom[1] / height, 0])
    return corner, right, down


def _array(values: np.ndarray, dtype: Any) -> wp.array:
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device="cpu")


def _mesh(points: np.ndarray, triangles: np.ndarray) -> wp.Mesh:
    return wp.Mesh(
        points=wp.array(points, dtype=wp.vec3, device="cpu"),
        indices=wp.array(triangles.ravel(), dtype=wp.int32, device="cpu"),
    )
