"""From a video with depth to a relief: a person of pixels with depth, and the place behind them.

Layers, from the front:

1. the person, cut where depth jumps;
2. what the person hides of themself, near such cuts: the farther surface, continued behind the
   nearer one, so that no gap opens between an arm and the trunk behind it;
3. the place behind, which is never cut, and lies behind the person in every frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from idol.render.backdrop import Backdrop, backdrop_of
from idol.render.camera import Camera, Orbit
from idol.render.errors import RenderError
from idol.render.footage import Footage, picked
from idol.render.nearest import nearest
from idol.render.place import place_behind

__all__ = ["NOTHING", "Relief", "Shape", "relief_of"]

NOTHING = -128  # in `Relief.hidden`: nothing is hidden here

_FAR_TURN = math.radians(20)  # so far round no gap may open
_MOST_HIDDEN = 120  # pixels: what a byte with a sign can say
_LEAST = 0.05  # of the pivot's depth: nearer than this nothing comes, whatever depth is scaled by
_TALL = 1.7  # metres: a person's height, where their distance is not known
_CORE = 250  # of 255: a pixel that is the person's alone, whose depth is theirs
_SOLID = 204  # of 255: a pixel whose colour is the person's


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What has to be assumed to make a relief of a picture.

    Attributes:
        view: angle of view along the longer side, in degrees, where the camera is not known.
        thickness: of relative depth: how far apart nearest and farthest of the person are, over the
            width of what the picture shows at their middle.
        distance: metres from the camera to where metres are counted from, where that is not the
            camera; None: as far as a person 1.7 m tall would be.
        behind: how far the place is behind the person's farthest point where its depth is not
            known, over that same width.
        cut: a jump of depth, over the depth of the whole person, at which surfaces are cut.
        margin: how far the place goes on beyond the picture, mirrored, over the picture's sides.
        grid: pixels of depth along the longer side, at most.
        picture: pixels of frames along the longer side, at most.
    """

    view: float = 40.0
    thickness: float = 0.3
    distance: float | None = None
    behind: float = 0.25
    cut: float = 0.08
    margin: float = 0.25
    grid: int = 256
    picture: int = 768


@dataclass(frozen=True, eq=False)
class Relief:
    """What all renderings are made of: F frames with a grid of H x W pixels of depth.

    `frames`    (F, H', W', 3) uint8 RGB.
    `colours`   the same, of the person alone: their colours go on beyond them, so that soft edges
                show nothing of what was behind.
    `z`         (F, H, W) float32: depth along the viewing axis, from the camera; 0 where the person
                is not. It goes a pixel beyond `alpha`, so that soft edges end softly.
    `alpha`     (F, H, W) uint8: how much of a pixel the person covers.
    `hidden`    (F, H, W, 2) int8: behind this pixel the person goes on, as at the pixel so many
                columns and rows away; NOTHING where not.
    `cut`       difference of depth at which surfaces are cut.
    `backdrop`  the place.
    `camera`    that filmed it, as known or assumed.
    `pivot`     what is looked at: the person's middle, in the camera's axes.
    `unit`      of all lengths: "metres", or "picture widths" where depth is relative.
    `fps`       frames a second.
    `name`, `generated`
                as of the footage.
    `told`      plain JSON for the report: what was read, and what had to be assumed.
    """

    frames: np.ndarray
    colours: np.ndarray
    z: np.ndarray
    alpha: np.ndarray
    hidden: np.ndarray
    cut: float
    backdrop: Backdrop
    camera: Camera
    pivot: tuple[float, float, float]
    unit: str
    fps: float
    name: str
    generated: bool
    told: dict[str, Any]

    def orbit(self, yaw: float, pitch: float) -> Orbit:
        """Around the person's middle; degrees, to the right and up."""
        return Orbit(yaw, pitch, self.pivot)

    @property
    def nudge(self) -> float:
        """How far hidden surfaces lie behind where they were seen, so that those are in front."""
        return 0.2 * self.pivot[2] * 2 * self.camera.half_width / self.z.shape[2]

    def hidden_layer(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) float32 and (H, W) bool: depth of what is hidden, and where something is."""
        offset = self.hidden[frame]
        there = offset[..., 0] != NOTHING
        rows, columns = np.indices(there.shape)
        z = self.z[frame][
            np.where(there, rows + offset[..., 1], 0), np.where(there, columns + offset[..., 0], 0)
        ]
        return np.where(there, z + np.float32(self.nudge), 0).astype(np.float32), there


def relief_of(footage: Footage, shape: Shape) -> Relief:
    """Make the relief of a video with depth.

    Raises:
        RenderError: no frame has a person of known depth.
    """
    frames = _smaller(footage.frames, shape.picture, cv2.INTER_AREA)
    depth = picked(footage.depth, shape.grid)
    size = depth.shape[2], depth.shape[1]
    mask, masked_by = _mask(footage, size, depth)
    known = np.isfinite(depth) & (mask > 0)
    if not known.any():
        raise RenderError(
            f"{footage.name} shows nobody: in no frame is there depth where the mask is"
        )
    height, width = frames.shape[1:3]
    camera, camera_from = _camera(footage, shape, width, height)
    z, surroundings, unit, told = _placed(footage, shape, camera, depth, known, mask)
    near, far, middle = _spread(z, known, mask)
    cut = shape.cut * (far - near)
    factor = min(shape.grid, max(width, height)) // max(size)
    if factor > 1:
        z, known, mask = _finer(z, known, mask, cut, factor)
        size = z.shape[2], z.shape[1]
        if surroundings is not None:
            surroundings = np.stack(
                [cv2.resize(d, size, interpolation=cv2.INTER_LINEAR) for d in surroundings]
            )
    pixel = 2 * camera.half_width * middle / size[0]
    cut = max(cut, 3 * pixel)
    filled = np.zeros_like(z)
    hidden = np.full((*z.shape, 2), NOTHING, np.int8)
    reach = math.ceil(math.sin(_FAR_TURN) * (far - near) / pixel) + 1
    reach = min(reach, _MOST_HIDDEN, max(4, max(size) // 8))
    for t in range(len(z)):
        filled[t] = _filled(z[t], known[t], mask[t])
        hidden[t] = _hidden(filled[t], mask[t], cut, reach)
    large = _resized(mask, (width, height))
    place = place_behind(frames, large, *_background(footage, (width, height)))
    backdrop = backdrop_of(
        place,
        filled,
        surroundings,
        mask,
        shape.margin,
        far + shape.behind * 2 * camera.half_width * middle,
    )
    told |= {
        "camera": {"view_degrees": round(camera.view, 3), "from": camera_from},
        "mask_from": masked_by,
        "depth_range": [round(near, 5), round(far, 5)],
        "cut_at": round(cut, 5),
        "background": {
            "seen": _share(place.seen),
            "given": _share(place.given),
            "invented": _share(place.invented),
            "colours_shifted_by": list(place.shift),
            "moves": round(place.moves, 2),
            "depth_from": "its own depth" if surroundings is not None else "assumed: a plane",
        },
        "frames_without_person": int((~known.any(axis=(1, 2))).sum()),
    }
    colours = np.empty_like(frames)  # with a list beside it a long video would take twice as much
    for t, (frame, solid) in enumerate(zip(frames, large, strict=True)):
        colours[t] = _own_colours(frame, solid)
    return Relief(
        frames, colours, filled, mask, hidden, cut, backdrop, camera,
        _pivot(camera, mask, middle), unit, footage.fps, footage.name, footage.generated,
        {**footage.told, **told},
    )  # fmt: skip


def _spread(z: np.ndarray, known: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """The person's nearest and farthest depth, but for a hundredth each, and the middle one."""
    solid = known & (mask >= 128)
    values = z[solid] if solid.any() else z[known]
    near, middle, far = np.percentile(values, (1, 50, 99)).tolist()
    return near, far, middle


def _finer(
    z: np.ndarray, known: np.ndarray, mask: np.ndarray, cut: float, factor: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A finer grid, where the frames have more pixels than their depth: outlines are then smooth.

    Depth is interpolated, but not across jumps, where it is the nearest pixel's.
    """
    size = z.shape[2] * factor, z.shape[1] * factor
    around = np.ones((3, 3), np.uint8)
    finer = np.empty((len(z), size[1], size[0]), np.float32)
    masks = np.empty(finer.shape, np.uint8)
    for t in range(len(z)):
        masks[t] = cv2.resize(mask[t], size, interpolation=cv2.INTER_CUBIC)
        core = _core(known[t], mask[t])
        whole = z[t][nearest(core)] if core.any() else np.zeros_like(z[t])
        jumps = (cv2.dilate(whole, around) - cv2.erode(whole, around)) > cut
        picked = cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST)
        between = cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
        rough = cv2.resize(jumps.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        finer[t] = np.where(rough > 0, picked, between)
        if not core.any():
            masks[t] = 0
    return finer, masks > 0, masks


def _share(where: np.ndarray) -> float:
    return round(float(where.mean()), 5)


def _smaller(frames: np.ndarray, most: int, how: int) -> np.ndarray:
    """Frames (F, H, W, ...) whose longer side is `most` at most."""
    height, width = frames.shape[1:3]
    factor = most / max(height, width)
    if factor >= 1:
        return frames
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.stack([cv2.resize(frame, size, interpolation=how) for frame in frames])


def _resized(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if masks.shape[2:0:-1] == size:
        return masks
    shrinks = masks.shape[2] > size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(mask, size, interpolation=how) for mask in masks])


def _mask(footage: Footage, size: tuple[int, int], depth: np.ndarray) -> tuple[np.ndarray, str]:
    """(F, h, w) uint8, and where it is from: given, or the nearer part of depth."""
    if footage.mask is not None:
        return _resized(footage.mask, size), footage.told.get("mask_from", "given")
    known = np.isfinite(depth)
    if not known.all():  # what has no depth is no person
        return np.where(known, 255, 0).astype(np.uint8), "where depth is known"
    low, high = float(depth.min()), float(depth.max())
    if not high > low:
        return np.full(depth.shape, 255, np.uint8), "all of the picture: depth is the same"
    scaled = ((depth - low) * (255 / (high - low))).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    return np.where(scaled <= threshold, 255, 0).astype(np.uint8), "the nearer part of depth (Otsu)"


def _camera(footage: Footage, shape: Shape, width: int, height: int) -> tuple[Camera, str]:
    if footage.focal is None:
        return Camera.of_view(shape.view, width, height), "assumed"
    own_height, own_width = footage.frames.shape[1:3]
    return Camera.of_focal(footage.focal, own_width, own_height, footage.centre), "the video"


def _background(
    footage: Footage, size: tuple[int, int]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if footage.background is None:
        return None, None
    picture = _resized(footage.background[None], size)[0]
    mask = footage.background_mask
    return picture, None if mask is None else _resized(mask[None], size)[0]


def _placed(
    footage: Footage,
    shape: Shape,
    camera: Camera,
    depth: np.ndarray,
    known: np.ndarray,
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None, str, dict[str, Any]]:
    """Depth from the camera, of the person and of all that is seen; its unit; what to tell."""
    around = None if footage.surroundings is None else picked(footage.surroundings, shape.grid)
    values = depth[known]
    from_camera = footage.unit == "metres" and float(values.min()) > 0.1
    if shape.distance is not None and (from_camera or footage.unit != "metres"):
        raise RenderError(
            "--distance is of metres that are not counted from the camera, and this depth is "
            f"{'counted from it' if from_camera else 'relative'}: leave it out"
        )
    if from_camera:
        return depth, around, "metres", {"depth": {"unit": "metres", "from": "the camera"}}
    if footage.unit == "metres":
        distance, why = shape.distance, "given"
        if distance is None:
            distance, why = _distance(camera, mask), f"assumed: a person is {_TALL} m tall"
        least = 0.2 - float(values.min())
        if distance < least:
            distance, why = least, f"{why}; moved back so that all is before the camera"
        added = np.float32(distance)
        told = {"unit": "metres", "from": "a point of the person", "distance": round(distance, 4)}
        told |= {"distance_from": why}
        moved = None if around is None else around + added
        return depth + added, moved, "metres", {"depth": told}
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    middle = float(np.median(values))
    distance = 0.5 / camera.half_width
    scale = min(shape.thickness / max(high - low, 1e-6), 1e6)
    # Nothing comes nearer than half the way, however far it lies from the rest.
    scale = min(scale, 0.5 * distance / max(middle - float(values.min()), 1e-6))
    z = (distance + (depth - middle) * scale).astype(np.float32)
    told = {"unit": "relative", "shown_as": "picture widths, by the thickness that was asked for"}
    told |= {"thickness": round((high - low) * scale, 5)}
    moved = None
    if around is not None:
        moved = np.maximum(distance + (around - middle) * scale, _LEAST * distance)
        moved = moved.astype(np.float32)
    return z, moved, "picture widths", {"depth": told}


def _distance(camera: Camera, mask: np.ndarray) -> float:
    """How far away somebody 1.7 m tall is who is as high in the picture as the person."""
    heights = [np.ptp(np.nonzero(m.any(axis=1))[0]) + 1 for m in mask >= 128 if m.any()]
    tall = float(np.median(heights)) / mask.shape[1] if heights else 0.8
    return _TALL / (2 * camera.half_height * max(tall, 0.05))


def _filled(z: np.ndarray, known: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Depth of the person and a pixel around: where a pixel is not the person's alone, or has no
    depth, that of the nearest one that is and has."""
    core = _core(known, mask)
    if not core.any():
        return np.zeros_like(z)
    wanted = cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rows, columns = nearest(core)
    return np.where(wanted, z[rows, columns], 0).astype(np.float32)


def _core(known: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose depth is the person's, as surely as there are any."""
    for least in (_CORE, 128, 1):
        core = known & (mask >= least)
        if core.any():
            break
    return core


def _own_colours(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: of each pixel, the colour of the nearest one that is clearly the person's.

    Far from the person, where nobody looks, they are smooth, and so take little room.
    """
    solid = mask >= _SOLID
    if not solid.any():
        solid = mask > 0
    if not solid.any():
        return np.zeros_like(frame)
    colours = frame[nearest(solid)]
    side = max(frame.shape[:2])
    reach = 2 * max(4, side // 48) + 1
    close = cv2.dilate((mask > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return np.where(close[..., None], colours, cv2.blur(colours, (side // 8 + 1,) * 2))


def _hidden(z: np.ndarray, mask: np.ndarray, cut: float, reach: int) -> np.ndarray:
    """(H, W, 2) int8: see `Relief.hidden`. `reach`: for how many pixels what is hidden goes on."""
    offset = np.full((*z.shape, 2), NOTHING, np.int8)
    solid = (mask >= 128) & (z > 0)
    padded = np.pad(np.where(solid, z, np.inf), 1, constant_values=np.inf)
    height, width = z.shape
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    # Of each pixel on the nearer side of a jump: the least far of its farther neighbours.
    beyond = np.full(z.shape, np.inf, np.float32)
    target = np.zeros((*z.shape, 2), np.int64)
    edge = np.zeros(z.shape, bool)
    rows, columns = np.mgrid[:height, :width]
    for dy, dx in steps:
        other = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        better = solid & np.isfinite(other) & (other - z > cut) & (other < beyond)
        beyond = np.where(better, other, beyond).astype(np.float32)
        target[better] = np.stack([rows + dy, columns + dx], axis=-1)[better]
        edge[rows[better] + dy, columns[better] + dx] = True
    rim = np.isfinite(beyond)
    if not rim.any():
        return offset
    near = nearest(rim)
    at = target[near]
    dy, dx = at[..., 0] - rows, at[..., 1] - columns
    close = solid & (dx**2 + dy**2 <= reach**2)
    there = rim | (close & (z[at[..., 0], at[..., 1]] - z > cut / 2))
    offset[there] = np.stack([dx, dy], axis=-1)[there]
    # Around, the person as seen: so that what is hidden has no end that a ray could pass behind.
    offset[(edge | close) & ~there] = 0
    return offset


def _pivot(camera: Camera, mask: np.ndarray, middle: float) -> tuple[float, float, float]:
    """The middle of all boxes around the person, at their middle depth."""
    seen = mask.max(axis=0) >= 128
    if not seen.any():
        seen = mask.max(axis=0) > 0
    v, u = (
        (float(n.min()) + float(n.max()) + 1) / 2 / side
        for n, side in zip(np.nonzero(seen), seen.shape, strict=True)
    )
    x, y, z = camera.points(np.array(u), np.array(v), np.array(middle))
    return float(x), float(y), float(z)
