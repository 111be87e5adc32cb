"""Scenes of which all is known, and what they look like from elsewhere, worked out by points."""

from __future__ import annotations

import math

import numpy as np

from idol.render.footage import Footage
from idol.render.relief import Relief, Shape, relief_of

SIDE = 96


def waves(height: int, width: int, channels: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 3) uint8: soft waves in three colours, different everywhere."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return np.stack(
        [127 + 90 * np.sin(6 * (x * math.cos(c) + y * math.sin(c)) + 3 * c) for c in channels], -1
    ).astype(np.uint8)


def footage(count: int = 2, width: int = SIDE, height: int = SIDE, **changes) -> Footage:
    """A slanted, round person in metres, 3 m away, who moves to the right before waves."""
    y, x = np.mgrid[:height, :width]
    place = waves(height, width, (0.3, 1.2, 2.0))
    pictures, depths, masks = [], [], []
    for t in range(count):
        middle = width * (0.45 + 0.05 * t)
        inside = ((x - middle) / (0.2 * width)) ** 2 + ((y - height / 2) / (0.33 * height)) ** 2 < 1
        person = waves(height, width, (0.9, 2.4, 2.9))[:, ::-1]
        pictures.append(np.where(inside[..., None], person, place))
        bulge = 0.15 * np.cos((x - middle) / (0.2 * width) * 1.2)
        depth = 3.0 + 0.2 * (x - middle) / width - bulge
        depths.append(np.where(inside, depth, np.nan))
        masks.append(np.where(inside, 255, 0))
    given = {
        "frames": np.stack(pictures).astype(np.uint8),
        "depth": np.stack(depths).astype(np.float32),
        "mask": np.stack(masks).astype(np.uint8),
        "fps": 10.0,
        "unit": "metres",
        "background": place,
        "name": "a slanted person",
    }
    return Footage(**(given | changes))


def two_layers(side: int = SIDE) -> Footage:
    """A trunk at 3 m, and an arm before it at 2.7 m."""
    made = footage(1, side, side)
    y, x = np.mgrid[:side, :side]
    trunk = (abs(x - side / 2) < 0.25 * side) & (abs(y - side / 2) < 0.4 * side)
    arm = (abs(y - side / 2) < 0.08 * side) & (abs(x - side / 2) < 0.15 * side)
    depth = np.where(arm, 2.7, np.where(trunk, 3.0, np.nan)).astype(np.float32)[None]
    frames = np.where(arm[..., None], (220, 40, 40), np.where(trunk[..., None], (40, 200, 60), 90))
    return Footage(
        frames.astype(np.uint8)[None],
        depth,
        10.0,
        "metres",
        np.where(trunk, 255, 0).astype(np.uint8)[None],
        made.background,
    )


def relief(given: Footage | None = None, **shape) -> Relief:
    return relief_of(given or footage(), Shape(**({"view": 40.0} | shape)))


def rotation(yaw: float, pitch: float) -> np.ndarray:
    """Rodrigues' formula, about the vertical and then the horizontal axis of the turned camera."""

    def about(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
        a, b, c = axis
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        angle = math.radians(degrees)
        return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross

    # y is down: a camera that goes to the right sees the world turn so.
    return about((1, 0, 0), pitch) @ about((0, 1, 0), yaw)


def projected(
    made: Relief,
    frame: int,
    yaw: float,
    pitch: float,
    side: int,
    ground: tuple[float, float, float] = (24, 26, 31),
) -> np.ndarray:
    """(side, side, 4) floats: colours, and how far away what is seen is, by points alone.

    Everything is cut into points, four to a pixel along each side and more; each lands in the pixel
    that a pinhole camera puts it in, and the nearest one is what is seen. Where none lands, NaN.
    """
    turn, pivot = rotation(yaw, pitch), np.array(made.pivot)
    half = made.camera.half_width, made.camera.half_height
    out = np.full((side * side, 4), np.nan)
    nearest = np.full(side * side, np.inf)

    def put(u: np.ndarray, v: np.ndarray, z: np.ndarray, colours: np.ndarray) -> None:
        x, y = (u - 0.5) * 2 * half[0] * z, (v - 0.5) * 2 * half[1] * z
        seen = (np.stack([x, y, z], -1) - pivot) @ turn.T + pivot
        column = np.floor((seen[:, 0] / (2 * half[0] * seen[:, 2]) + 0.5) * side).astype(int)
        row = np.floor((seen[:, 1] / (2 * half[1] * seen[:, 2]) + 0.5) * side).astype(int)
        inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
        at, far = (row * side + column)[inside], seen[inside, 2]
        order = np.argsort(-far, kind="stable")  # the nearest last, so that it stays
        at, far, colours = at[order], far[order], colours[inside][order]
        nearer = far < nearest[at]
        out[at[nearer], :3], out[at[nearer], 3] = colours[nearer], far[nearer]
        nearest[at[nearer]] = far[nearer]

    drop = made.backdrop
    count = 6 * side
    fine = (np.arange(count) + 0.5) / count
    b, a = (part.ravel() for part in np.meshgrid(fine, fine, indexing="ij"))
    z = bilinear(drop.z[..., None], a * (drop.z.shape[1] - 1), b * (drop.z.shape[0] - 1))[:, 0]
    h, w = drop.picture.shape[:2]
    colours = bilinear(drop.picture, a * w - 0.5, b * h - 0.5)
    mx, my = drop.margin
    solid = bilinear(drop.opacity[..., None], a * w - 0.5, b * h - 0.5) / 255
    colours = colours * solid + (1 - solid) * np.array(ground)
    put(a * (1 + 2 * mx) - mx, b * (1 + 2 * my) - my, z, colours)

    height, width = made.z.shape[1:]
    rows, columns = np.nonzero((made.alpha[frame] >= 128) & (made.z[frame] > 0))
    small = (np.arange(8) + 0.5) / 8
    dy, dx = (part.ravel() for part in np.meshgrid(small, small, indexing="ij"))
    u = ((columns[:, None] + dx) / width).ravel()
    v = ((rows[:, None] + dy) / height).ravel()
    z = np.repeat(made.z[frame][rows, columns], len(dx))
    h, w = made.colours.shape[1:3]
    put(u, v, z, bilinear(made.colours[frame], u * w - 0.5, v * h - 0.5))
    return out.reshape(side, side, 4)


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, C): an image (H, W, C) between its pixels."""
    h, w = image.shape[:2]
    x, y = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    x0, y0 = np.minimum(x.astype(int), max(w - 2, 0)), np.minimum(y.astype(int), max(h - 2, 0))
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    below = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return top * (1 - fy) + below * fy
