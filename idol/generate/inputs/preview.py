"""A sheet to look at before anything is denoised: the person, the driving poses, the new ones."""

from __future__ import annotations

import cv2
import numpy as np

from idol.generate.generator import ClipConditions
from idol.generate.inputs.prepare import Placement
from idol.generate.inputs.values import Motion, Person
from idol.generate.sheet import contact_sheet, shown_frames
from shards.sample.keypoints import OPENPOSE_134, Keypoints
from shards.sample.skeleton import MIN_SCORE, PoseStyle, draw_poses

__all__ = ["preview_sheet"]

_TILE = 256
_HOLE = 128  # grey of what is not known
_MOST = 8192  # pixels along a side of what is made smaller to be a tile
_FRAME = (255, 255, 255)


def preview_sheet(
    person: Person,
    motion: Motion,
    conditions: ClipConditions,
    placement: Placement,
    *,
    pose_style: PoseStyle = "openpose",
) -> bytes:
    """A PNG: the person's crop, the background with the person's skeleton and the output's square;
    frames of the motion as it is given, and the same as it will be generated."""
    columns = shown_frames(len(motion))
    rows = {
        "person": _person(person, placement, pose_style),
        "driving": [_driving(motion, t, pose_style) for t in columns],
        "retargeted": [_retargeted(conditions, t) for t in columns],
    }
    said = [f"retarget: {placement.retarget['method']}"]
    if "scale" in placement.retarget:
        said.append(f"scale {placement.retarget['scale']:.3g}")
    said += [f"{len(motion)} frames", f"{motion.fps:.4g} fps", *placement.misfits]
    times = [t / motion.fps for t in columns]
    return contact_sheet(f"{person.name}  ←  {motion.name}", times, rows, "   ·   ".join(said))


def _person(person: Person, placement: Placement, style: PoseStyle) -> list[np.ndarray]:
    whole = person.background.copy()
    whole[person.background_mask > 127] = (whole[person.background_mask > 127] // 2) + _HOLE // 2
    x0, y0, x1, y1 = placement.box
    # All of both, the picture and the output's square, is to be seen.
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x1 - person.size[0]), max(0, y1 - person.size[1])
    longer = max(left + whole.shape[1] + right, top + whole.shape[0] + bottom)
    shrink = -(-longer // _MOST)  # a joint may be far astray
    if shrink > 1:
        size = [max(1, side // shrink) for side in whole.shape[1::-1]]
        whole = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        left, top, right, bottom = (side // shrink for side in (left, top, right, bottom))
        x0, y0, x1, y1 = (side // shrink for side in (x0, y0, x1, y1))
    whole = cv2.copyMakeBorder(
        whole, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(_HOLE,) * 3
    )
    width = max(1, round(max(whole.shape[:2]) / _TILE))
    corner = (x0 + left, y0 + top)
    cv2.rectangle(whole, corner, (x1 + left - 1, y1 + top - 1), _FRAME, width)
    tile, scale, x, y = _tile(whole)
    if person.keypoints is not None:
        points = person.keypoints[:1].copy()
        points[..., 0] = (points[..., 0] / shrink + left) * scale + x
        points[..., 1] = (points[..., 1] / shrink + top) * scale + y
        tile = _over(tile, _drawn(points, style, MIN_SCORE))
    foreground, *_ = _tile(person.foreground)
    cut = person.foreground.copy()
    cut[person.foreground_mask <= 127] = _HOLE
    return [foreground, _tile(cut)[0], tile]


def _driving(motion: Motion, t: int, style: PoseStyle) -> np.ndarray:
    if motion.keypoints is None:
        assert motion.skeletons is not None
        return _tile(motion.skeletons[t])[0]
    width, height = motion.size
    blank = np.zeros((height, width, 3), np.uint8)
    tile, scale, x, y = _tile(blank)
    near = min(motion.frames, key=lambda shown: abs(shown - t), default=None)
    if near is not None and abs(near - t) <= max(1, len(motion) // 16):
        tile, *_ = _tile(motion.frames[near])
        t = near
    points = motion.keypoints[t : t + 1].copy()
    points[..., 0] = points[..., 0] * scale + x
    points[..., 1] = points[..., 1] * scale + y
    return _over(tile, _drawn(points, style, motion.min_score))


def _retargeted(conditions: ClipConditions, t: int) -> np.ndarray:
    place = conditions.background.copy()
    place[conditions.background_mask > 127] = _HOLE
    return _tile(_over(place, conditions.skeletons[t]))[0]


def _drawn(points: np.ndarray, style: PoseStyle, min_score: float) -> np.ndarray:
    keypoints = Keypoints(points[:, None].astype(np.float32), OPENPOSE_134)
    drawn: np.ndarray = draw_poses(keypoints, (_TILE, _TILE), style, min_score=min_score)[0]
    return drawn


def _over(image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The drawing where it is not black."""
    return np.where(drawn.max(-1, keepdims=True) > 24, drawn, image)


def _tile(image: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """(256, 256, 3), letterboxed; the scale, and the shift in x and y, of its pixels in it."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(image, size, interpolation=how)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    x, y = (_TILE - size[0]) // 2, (_TILE - size[1]) // 2
    tile[y : y + size[1], x : x + size[0]] = small
    return tile, scale, x + 0.5 * scale - 0.5, y + 0.5 * scale - 0.5
