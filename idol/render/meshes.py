"""Reliefs as meshes for other programs: PLY, a frame each, and GLB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from idol.render.relief import Relief
from idol.render.scene import person_at, wall

__all__ = ["write_glb", "write_ply"]

# Such programs have y up, and look along -z.
_AXES = np.array([1, -1, -1], np.float32)


def write_ply(path: Path, relief: Relief, frame: int, *, depth_scale: float = 1.0) -> int:
    """Write the person in a frame as a binary PLY; how many triangles it has.

    Vertices have a place (x to the right, y up, z towards the camera, which is at 0) and a colour;
    its comments say the unit. Faces are clockwise in the picture's plane, so that they face the
    camera.
    """
    from plyfile import PlyData, PlyElement

    person = person_at(relief, frame, depth_scale=depth_scale)
    points, triangles = person.points * _AXES, person.triangles[:, ::-1]
    vertices = np.empty(
        len(points),
        [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")],
    )
    for axis, name in enumerate("xyz"):
        vertices[name] = points[:, axis]
    colours = _vertex_colours(relief, frame, person.squares, person.colours, len(points))
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, channel]
    faces = np.empty(len(triangles), [("vertex_indices", "i4", (3,))])
    faces["vertex_indices"] = triangles
    comments = [f"unit: {relief.unit}", "axes: x right, y up, z towards the camera at the origin"]
    if relief.generated:
        comments.append("generated: synthetic media, recorded by no camera")
    PlyData(
        [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")],
        comments=comments,
    ).write(str(path))
    return len(triangles)


def write_glb(path: Path, relief: Relief, frame: int, *, depth_scale: float = 1.0) -> int:
    """Write the person in a frame and the place behind them as a GLB; how many triangles it has.

    Both are textured, the person with alpha. Axes are as of `write_ply`; metres where they are
    known, else picture widths.
    """
    import trimesh
    from trimesh.visual.material import PBRMaterial
    from trimesh.visual.texture import TextureVisuals

    def mesh(points: np.ndarray, triangles: np.ndarray, uv: np.ndarray, material: Any) -> Any:
        return trimesh.Trimesh(
            points * _AXES, triangles[:, ::-1], visual=TextureVisuals(uv, material), process=False
        )

    scene = trimesh.Scene()
    back = wall(relief, depth_scale=depth_scale)
    beyond = np.array(relief.backdrop.margin, np.float32)
    uv = (back.places + beyond) / (1 + 2 * beyond)
    picture = np.dstack([relief.backdrop.picture, relief.backdrop.opacity])
    scene.add_geometry(
        mesh(back.points, back.triangles, _turned(uv), _material("place", picture, PBRMaterial)),
        geom_name="place",
    )
    person = person_at(relief, frame, depth_scale=depth_scale)
    count = len(back.triangles)
    if len(person.squares):
        height, width = relief.colours.shape[1:3]
        alpha = cv2.resize(relief.alpha[frame], (width, height), interpolation=cv2.INTER_LINEAR)
        # What is hidden has its colour from elsewhere: each square has corners of its own.
        points = person.points[person.squares].reshape(-1, 3)
        squares = np.arange(len(points)).reshape(-1, 4)
        corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        places = (person.pixels[:, None] + corner).astype(np.float32)
        places[person.seen :] = person.colours[person.seen :, None] + 0.5
        places /= np.array(relief.z.shape[:0:-1], np.float32)
        triangles = squares[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
        texture = np.dstack([relief.colours[frame], alpha])
        material = _material("person", texture, PBRMaterial)
        scene.add_geometry(
            mesh(points, triangles, _turned(places.reshape(-1, 2)), material), geom_name="person"
        )
        count += len(triangles)
    scene.metadata["unit"] = relief.unit
    scene.metadata["generated"] = relief.generated
    path.write_bytes(scene.export(file_type="glb"))
    return count


def _vertex_colours(
    relief: Relief, frame: int, squares: np.ndarray, sources: np.ndarray, count: int
) -> np.ndarray:
    """(count, 3) uint8: means of the pixels that meet at each vertex."""
    height, width = relief.z.shape[1:]
    own = relief.colours[frame]
    if own.shape[:2] != (height, width):
        own = cv2.resize(own, (width, height), interpolation=cv2.INTER_AREA)
    of_square = np.repeat(own[sources[:, 1], sources[:, 0]].astype(np.float64), 4, axis=0)
    flat = squares.ravel()
    number = np.maximum(np.bincount(flat, minlength=count), 1)
    sums = [np.bincount(flat, of_square[:, channel], count) for channel in range(3)]
    return np.rint(np.stack(sums, axis=-1) / number[:, None]).astype(np.uint8)


def _turned(uv: np.ndarray) -> np.ndarray:
    """Places in a picture, from its top left corner, as trimesh has them: from the bottom left."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=-1)


def _material(name: str, rgba: np.ndarray, kind: Any) -> Any:
    return kind(
        name=name, baseColorTexture=Image.fromarray(rgba), alphaMode="BLEND",
        metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True,
    )  # fmt: skip
