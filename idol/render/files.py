"""Depth as EXR, and colour and depth side by side in one video."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from idol.mp4 import GENERATED, mp4_writer
from idol.render.errors import RenderError
from idol.render.relief import Relief

__all__ = ["Style", "write_exr", "write_rgbd"]

# Of hue all the way round, as in the shader of Record3D's own demo, which does not show what is
# nearer than 0.1 m or farther than 2.8 m.
_HUE_METRES = 3.0

Style = Literal["looking-glass", "record3d"]


def write_exr(path: Path, relief: Relief, frame: int) -> None:
    """Write a frame's depth along the viewing axis, from the camera, as 32-bit floats.

    Channels: `Z`, the person's, and behind them that of the place, whole, so that nothing is left
    open; `A`, how much of the pixel is the person's. `comments` say the unit.

    Raises RenderError where OpenEXR is not installed.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise RenderError(
            "EXR needs OpenEXR: `pip install 'idol-video[render]'` installs it"
        ) from error
    z = np.where(relief.alpha[frame] >= 128, relief.z[frame], place_depth(relief))
    channels = {"Z": z, "A": relief.alpha[frame] / np.float32(255)}
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "comments": f"Z: {relief.unit} along the viewing axis from the camera"
        + ("" if relief.unit == "metres" else "; relative depth, its thickness a choice"),
    }
    arrays = {name: np.ascontiguousarray(a, np.float32) for name, a in channels.items()}
    OpenEXR.File(header, arrays).write(str(path))


def place_depth(relief: Relief) -> np.ndarray:
    """(H, W) float32: depth of the place behind the person, at the pixels of the grid."""
    drop = relief.backdrop
    height, width = relief.z.shape[1:]
    rows, columns = drop.z.shape
    x, y = (
        ((np.arange(side) + 0.5) / side + beyond) / (1 + 2 * beyond) * (nodes - 1)
        for side, beyond, nodes in (
            (width, drop.margin[0], columns), (height, drop.margin[1], rows),
        )
    )  # fmt: skip
    map_x, map_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return cv2.remap(drop.z, map_x, map_y, cv2.INTER_LINEAR)


def write_rgbd(path: Path, relief: Relief, style: Style) -> dict[str, object]:
    """Write an mp4 with colour and depth side by side; what the report says of it.

    looking-glass: colour at the left, and depth at the right in grey, white near by, from the
    person's nearest point to the place's farthest. record3d: the person's depth at the left as hue,
    red to red at full saturation, black where there is none; and colour at the right. Hue goes from
    0 to 3 m, or to the person's farthest point where that is farther; of relative depth from their
    nearest point to their farthest.
    """
    there = relief.z > 0
    behind = place_depth(relief)
    near, far = float(relief.z[there].min()), float(relief.z[there].max())
    if style == "looking-glass":
        far = float(behind.max())
    elif relief.unit == "metres":
        near, far = 0.0, max(far, _HUE_METRES)
    far = max(far, near + 1e-6)
    height, width = (side + side % 2 for side in relief.frames.shape[1:3])
    comment = GENERATED if relief.generated else None
    with mp4_writer(path, height, 2 * width, relief.fps, relief.name, comment) as add:
        for frame, z, alpha in zip(relief.frames, relief.z, relief.alpha, strict=True):
            person = alpha >= 128
            if style == "record3d":
                shown = _hue((z - near) / (far - near), person)
            else:
                depth = np.where(person, z, behind)
                grey = 1 - np.clip((depth - near) / (far - near), 0, 1)
                shown = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=-1)
            how = cv2.INTER_NEAREST if style == "record3d" else cv2.INTER_LINEAR
            depth_side = cv2.resize(shown, frame.shape[1::-1], interpolation=how)
            sides = [_even(side, height, width) for side in (frame, depth_side)]
            add(np.concatenate(sides if style == "looking-glass" else sides[::-1], axis=1))
    return {
        "style": style,
        "size": [2 * width, height],
        "near": round(near, 5),
        "far": round(far, 5),
        "unit": relief.unit,
    }


def _hue(depth: np.ndarray, person: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: depth in [0, 1] as a fully saturated hue."""
    hsv = np.zeros((*depth.shape, 3), np.float32)
    # A little less than all the way round: both ends would be the same red.
    hsv[..., 0] = np.clip(depth, 0, 1) * np.float32(359)
    hsv[..., 1:] = 1
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.where(person[..., None], np.rint(rgb * 255), 0).astype(np.uint8)


def _even(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    added = (0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)
    return np.pad(frame, added, mode="edge")
