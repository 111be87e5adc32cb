"""The posed foreground: the person of one picture, limb by limb in the poses of a clip's frames.

Each part of the body, which is torso, head and two parts of each limb, is moved by an affine map
from where the joints are in the foreground to where they are in the frame (`shards.sample.parts`),
and laid over the background: the nearer before the farther, by how deep their joints are
(`shards.sample.lifting`). A part takes along what is its own in the foreground, so that an arm
which hung beside the torso does not stay there. What the foreground does not show, a back, an inner
side, what a limb hid, stays wrong or absent: it is a first guess at the frame, sharp where it is
right, which a model has to mend.

Its depth is laid out likewise.

Part-wise maps between two skeletons, as in deformable skip connections (Siarohin et al., 2018), of
the picture itself. Ours; the paper's model knows the person by tokens alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END
from shards.sample.keypoints import COCO_18, JOINT_SETS
from shards.sample.lifting import lifted
from shards.sample.parts import Body, Part, belonging, distance, parts_between
from shards.sample.reference import described
from shards.sample.skeleton import MIN_SCORE

__all__ = ["lay_over", "pose_of", "reference_joints"]

_REACH = 2.75  # radii from a part's middle at which it ends
_SOFT = 1.0  # radii within which a part outweighs others
_IN_FRONT = (
    0.15  # by how much of a person's depths a part must be nearer to outweigh others e times
)
# Of pixels that are another part's in the foreground: what share of its own weight one has with a
# part that takes them along, and within how many radii it does; beyond, it has to be its own.
_OTHERS = 0.02
_CORE, _CORE_END = 0.7, 1.2
_NOT_OWN, _OWN = 0.1, 0.4
# How much farther a part's surface is at its edge: by this times the squared radii, up to the last.
_ROUND, _ROUND_END = 0.02, 0.1
# Share of a pixel above which it is the posed person's in depth, which has no halves: below one
# half, since a person made too narrow is farther from the truth than one made too wide.
_COVERS = 0.38


def pose_of(points: np.ndarray, info: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """The body's joints, (T, 18, 3), of a clip's key points (T, people, J, 3), those of the first
    person, and the score from which its json says that they are seen.

    Raises ValueError where its json names no joint set that has them, or nobody is in the clip.
    """
    said = info.get("keypoints")
    said = said if isinstance(said, dict) else {}
    joint_set = JOINT_SETS.get(str(said.get("joint_set")))
    if joint_set is None or points.shape[2] != len(joint_set) or not points.shape[1]:
        raise ValueError("its json names no joint set that fits its key points")
    body: np.ndarray = points[:, 0, joint_set.indices(*COCO_18.joints)]
    least = said.get("min_score", MIN_SCORE)
    return body, float(least) if isinstance(least, int | float) else MIN_SCORE


def reference_joints(
    info: Mapping[str, Any], points: np.ndarray | None, size: int
) -> np.ndarray | None:
    """(18, 3) float32: the joints of a clip's foreground, in pixels of a foreground of this size.

    They are in the clip's json; of older clips whose reference is one of their own frames they are
    that frame's. `points` (T, 18, 3) are the clip's own, in pixels of the clip. None where neither
    tells.
    """
    reference = described(info)
    try:
        if (said := reference.get("joints")) is not None:
            joints = np.array(said, np.float32).reshape(len(COCO_18), 3)
            return joints if np.isfinite(joints).all() else None
        if points is None:
            return None
        frame = info["frame_indices"].index(reference["frame"])
        x0, y0, x1, _ = (float(value) for value in info["crop"]["box"])
        left, top, right, _ = (float(value) for value in reference["box"])
        clip_size = float(info["size"][0])
        found = np.array(points[frame], np.float32)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if x1 <= x0 or right <= left:
        return None
    # Corners, not centres, are mapped onto corners.
    in_source = (found[:, :2] + 0.5) * ((x1 - x0) / clip_size) + (x0, y0)
    found[:, :2] = (in_source - (left, top)) * (size / (right - left)) - 0.5
    return found


def lay_over(
    background: np.ndarray,
    foreground: np.ndarray,
    mask: np.ndarray,
    joints: np.ndarray,
    poses: np.ndarray,
    *,
    min_score: float = MIN_SCORE,
    out: np.ndarray | None = None,
    depth: np.ndarray | None = None,
) -> np.ndarray:
    """The background with the foreground's person in each of T poses, (T, H, W, 3) uint8.

    Args:
        background: (H, W, 3) uint8.
        foreground, mask: (h, w, 3) and (h, w) uint8, 255 where the person is.
        joints: (18, 3), of `COCO_18`: x, y in pixels of the foreground, and a score.
        poses: (T, 18, 3): x, y in pixels of the background, and a score.
        min_score: joints below this are not known. A part moves where both pictures show its
            joints, and nobody is laid over the background where they show too few. Who is in front
            is known from how joints move, so a frame depends on those beside it.
        out: where the frames are written, unless they are to be made.
        depth: (T, H, W) float32, where the depth of the person so laid is written, in the range of
            a person's, and 1 where nobody is; nowhere unless given.
    """
    if out is None:
        out = np.empty((len(poses), *background.shape), np.uint8)
    share = mask.astype(np.float32) / 255
    person = np.dstack([foreground * share[..., None], share])
    there = Body.of(joints, min_score)
    own = {} if there is None else belonging(there, mask)
    deep = lifted(poses, min_score=min_score)
    for number, (frame, pose) in enumerate(zip(out, poses, strict=True)):
        frame[...] = background
        here = Body.of(pose, min_score)
        parts = [] if there is None or here is None else parts_between(there, here, deep[number])
        _lay_one(frame, person, parts, own, None if depth is None else depth[number])
    return out


def _lay_one(
    frame: np.ndarray,
    person: np.ndarray,
    parts: Iterable[Part],
    own: Mapping[str, np.ndarray],
    depth: np.ndarray | None,
) -> None:
    """Lay the parts over a frame (H, W, 3) uint8, in place; `person` (h, w, 4) float32, colours
    times the mask, and the mask; `own` as of `belonging`; `depth` (H, W) float32 as for `lay_over`.

    Where parts overlap, each weighs more the nearer it is to its middle, and to the camera.
    """
    height, width = frame.shape[:2]
    colour = np.zeros((height, width, 4), np.float32)
    alpha = np.zeros((height, width), np.float32)
    deep = np.zeros((height, width, 2), np.float32)  # depths by their weights, and these
    for part in parts:
        reach = _REACH * part.radius
        ends = part.lines.reshape(-1, 2)
        x0, y0 = np.maximum(np.floor(ends.min(0) - reach), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(ends.max(0) + reach) + 1, (width, height)).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue
        moved = part.to_foreground.copy()  # of this box's pixels
        moved[:, 2] += moved[:, :2] @ (x0, y0)
        pixels, belongs = (
            cv2.warpAffine(
                image,
                moved,
                (int(x1 - x0), int(y1 - y0)),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
            for image in (person, own[part.name])
        )
        away = distance(part.lines, x0, y0, x1, y1) / part.radius
        surface = part.bone_depth(x0, y0, x1, y1) - np.float32(part.before_bone)
        surface += np.minimum(_ROUND * away**2, _ROUND_END)
        takes = np.clip((_CORE_END - away) / (_CORE_END - _CORE), 0, 1)
        takes = np.maximum(takes, np.clip((belongs - _NOT_OWN) / (_OWN - _NOT_OWN), 0, 1))
        weight = np.exp(-((away / _SOFT) ** 2) - surface / _IN_FRONT) * (_OTHERS + belongs)
        colour[y0:y1, x0:x1] += pixels * weight[..., None]
        if depth is not None:
            weight *= pixels[..., 3]
            deep[y0:y1, x0:x1] += np.dstack([weight * surface, weight])
        near = np.clip((_REACH - away) / (_REACH - 1), 0, 1)
        covered = alpha[y0:y1, x0:x1]
        np.maximum(covered, pixels[..., 3] * near * takes, out=covered)
    mean = colour[..., :3] / np.maximum(colour[..., 3:], 1e-9)
    frame[...] = np.rint(frame + (mean - frame) * alpha[..., None])
    if depth is not None:
        found = np.clip(deep[..., 0] / np.maximum(deep[..., 1], 1e-9), 0, FOREGROUND_DEPTH_END)
        depth[...] = np.where(alpha > _COVERS, found, np.float32(BACKGROUND_DEPTH))
