"""The posed foreground: the person of one picture, limb by limb in the poses of a clip's frames.

Each part of the body, which is torso, head and two parts of each limb, is moved by an affine map
from where the joints are in the foreground to where they are in the frame, and laid over the
background. What the foreground does not show, a back, an inner side, what a limb hid, stays wrong
or absent: it is a first guess at the frame, sharp where it is right, which a model has to mend.

Its depth is laid out likewise, by how deep its joints are (`shards.sample.lifting`).

Part-wise maps between two skeletons, as in deformable skip connections (Siarohin et al., 2018), of
the picture itself. Ours; the paper's model knows the person by tokens alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END
from shards.sample.keypoints import COCO_18, JOINT_SETS
from shards.sample.lifting import lifted
from shards.sample.reference import described
from shards.sample.skeleton import MIN_SCORE

__all__ = ["lay_over", "pose_of", "reference_joints"]

_NOSE, _NECK = COCO_18.indices("nose", "neck")
_FACE = COCO_18.indices("nose", "right_eye", "left_eye", "right_ear", "left_ear")
_TORSO = COCO_18.indices("neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip")
# Between which of them the torso lies.
_TRUNK = tuple(
    COCO_18.indices(a, b)
    for a, b in (
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "left_shoulder"),
        ("right_hip", "left_hip"),
        ("neck", "right_hip"),
        ("neck", "left_hip"),
    )
)

# All lengths below are in torsos, from neck to hip, of the body as it is seen.
_TORSO_RADIUS, _HEAD_RADIUS = 0.2, 0.3
# A limb's parts: from joint to joint, radius, and by what share of itself it goes on beyond either
# end: hands and feet hang on the last.
_PARTS = {
    ("shoulder", "elbow"): (0.15, 0.0, 0.1),
    ("elbow", "wrist"): (0.13, 0.1, 0.6),
    ("hip", "knee"): (0.24, 0.1, 0.1),
    ("knee", "ankle"): (0.22, 0.1, 0.45),
}
_LIMBS = tuple(
    (COCO_18.indices(f"{side}_{a}", f"{side}_{b}"), *shape)
    for (a, b), shape in _PARTS.items()
    for side in ("right", "left")
)
# Lengths of bones that make a torso, for the body's size of whatever of it is seen.
_BONES = tuple(
    (COCO_18.indices(a, b), torsos)
    for a, b, torsos in (
        *(("neck", f"{side}_hip", 1.0) for side in ("right", "left")),
        *((f"{side}_hip", f"{side}_knee", 1.1) for side in ("right", "left")),
        *((f"{side}_knee", f"{side}_ankle", 1.1) for side in ("right", "left")),
        *((f"{side}_shoulder", f"{side}_elbow", 1.6) for side in ("right", "left")),
        *((f"{side}_elbow", f"{side}_wrist", 1.8) for side in ("right", "left")),
    )
)
_LONGEST = 75  # per cent: bones that point at the camera are shorter than they are
_BENT = 0.15  # how far a torso's map tends to a turn and a size, against its joints; the head's 1
_STRETCH = 2.0  # by which a part may be longer or shorter than the body's size says
_REACH = 2.5  # radii from a part's middle at which it ends
_CLOSE = 2.0  # and at which it ends in depth, where what is frayed cannot fade
_SOFT = 0.9  # radii within which a part outweighs others
_FLAT = 0.1  # torsos that joints must be apart for their depths to slope
_BEFORE_BONE = 0.085  # how far the surface is before the bone, in the range of a person's depths
# Share of a pixel above which it is the posed person's in depth, which has no halves: below one
# half, since a person made too narrow is farther from the truth than one made too wide.
_COVERS = 0.4


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the body in a frame: `to_foreground` (2, 3) float64, pixels of the frame to those
    of the foreground; `lines` (N, 2, 2), its middle in the frame; `radius` in pixels of it;
    `plane` (3,), by which its depth goes with x and y, between `near` and `far`."""

    to_foreground: np.ndarray
    lines: np.ndarray
    radius: float
    plane: np.ndarray
    near: float
    far: float

    def depth(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """(y1 - y0, x1 - x0) float32: of the surface, in the range of the person's."""
        x, y = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)[:, None]
        slope_x, slope_y, at_zero = self.plane.astype(np.float32)
        deep = np.clip(slope_x * x + slope_y * y + at_zero, self.near, self.far)
        return deep - np.float32(_BEFORE_BONE)


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
            joints, and nobody is laid over the background where they show too few.
        out: where the frames are written, unless they are to be made.
        depth: (T, H, W) float32, where the depth of the person so laid is written, in the range of
            a person's, and 1 where nobody is; nowhere unless given.
    """
    if out is None:
        out = np.empty((len(poses), *background.shape), np.uint8)
    share = mask.astype(np.float32) / 255
    person = np.dstack([foreground * share[..., None], share])
    deep = np.zeros(poses.shape[:2]) if depth is None else lifted(poses, min_score=min_score)
    for number, (frame, pose) in enumerate(zip(out, poses, strict=True)):
        frame[...] = background
        parts = list(_parts(joints, pose, deep[number], min_score))
        _lay_one(frame, person, parts, None if depth is None else depth[number])
    return out


def _lay_one(
    frame: np.ndarray,
    person: np.ndarray,
    parts: Sequence[_Part],
    depth: np.ndarray | None,
) -> None:
    """Lay the parts over a frame (H, W, 3) uint8, in place; `person` (h, w, 4) float32, colours
    times the mask, and the mask; `depth` (H, W) float32 as for `lay_over`.

    Where parts overlap, each weighs more the nearer its middle is.
    """
    height, width = frame.shape[:2]
    colour = np.zeros((height, width, 4), np.float32)
    alpha = np.zeros((height, width), np.float32)
    deep = np.zeros((height, width, 2), np.float32)  # depths by their weights, and these
    solid = np.zeros((height, width), np.float32)  # as `alpha`, of what depth covers
    for part in parts:
        reach = _REACH * part.radius
        ends = part.lines.reshape(-1, 2)
        x0, y0 = np.maximum(np.floor(ends.min(0) - reach), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(ends.max(0) + reach) + 1, (width, height)).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue
        distance = _distance(part.lines, x0, y0, x1, y1) / part.radius
        moved = part.to_foreground.copy()  # of this box's pixels
        moved[:, 2] += moved[:, :2] @ (x0, y0)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(person, moved, (int(x1 - x0), int(y1 - y0)), flags=how)
        weight = np.exp(-((distance / _SOFT) ** 2))
        colour[y0:y1, x0:x1] += pixels * weight[..., None]
        if depth is not None:
            close = np.clip((_CLOSE - distance) / (_CLOSE - 1), 0, 1)
            covered = solid[y0:y1, x0:x1]
            np.maximum(covered, pixels[..., 3] * close, out=covered)
            weight *= pixels[..., 3]
            deep[y0:y1, x0:x1] += np.dstack([weight * part.depth(x0, y0, x1, y1), weight])
        near = np.clip((_REACH - distance) / (_REACH - 1), 0, 1)
        covered = alpha[y0:y1, x0:x1]
        np.maximum(covered, pixels[..., 3] * near, out=covered)
    mean = colour[..., :3] / np.maximum(colour[..., 3:], 1e-9)
    frame[...] = np.rint(frame + (mean - frame) * alpha[..., None])
    if depth is not None:
        own = np.clip(deep[..., 0] / np.maximum(deep[..., 1], 1e-9), 0, FOREGROUND_DEPTH_END)
        depth[...] = np.where(solid > _COVERS, own, np.float32(BACKGROUND_DEPTH))


def _parts(
    joints: np.ndarray, pose: np.ndarray, deep: np.ndarray, min_score: float
) -> Iterator[_Part]:
    """The parts that both pictures show; `deep` (18,), depths of the joints of the pose."""
    own = _body_size(joints, min_score)
    size = _body_size(pose, min_score)
    if own is None or size is None:
        return
    zoom = own / size
    both = (joints[:, 2] >= min_score) & (pose[:, 2] >= min_score)
    there, here = joints[:, :2].astype(np.float64), pose[:, :2].astype(np.float64)
    torso = [joint for joint in _TORSO if both[joint]]
    trunk = [here[line] for line in _TRUNK if both[line].all()]
    if len(torso) > 2:
        yield _Part(
            _fitted(here[torso], there[torso], zoom, _BENT),
            np.array(trunk),
            _TORSO_RADIUS * size,
            *_plane(here[torso], deep[torso], size),
        )
    face = [joint for joint in _FACE if both[joint]]
    if face and both[_NECK]:
        head = [*face, _NECK]
        middle = here[face].mean(0)
        up = middle - here[_NECK]
        moved: np.ndarray | None
        if len(head) > 2:
            moved = _fitted(here[head], there[head], zoom, 1.0)
        else:
            moved = _along(here[head], there[head], zoom)
        if moved is not None:
            line = np.array([[here[_NECK] + 0.35 * up, middle + 0.45 * up]])
            yield _Part(moved, line, _HEAD_RADIUS * size, *_plane(here[face], deep[face], size))
    for bone, radius, before, beyond in _LIMBS:
        if not both[bone].all():
            continue
        moved = _along(here[bone], there[bone], zoom)
        if moved is not None:
            start, end = here[bone]
            step = end - start
            line = np.array([[start - before * step, end + beyond * step]])
            yield _Part(moved, line, radius * size, *_plane(here[bone], deep[bone], size))


def _body_size(joints: np.ndarray, min_score: float) -> float | None:
    """Pixels of a torso, by the bones that are seen; None where they are fewer than two."""
    seen = joints[:, 2] >= min_score
    lengths = [
        torsos * float(np.hypot(*np.diff(joints[bone, :2], axis=0)[0]))
        for bone, torsos in _BONES
        if seen[bone].all()
    ]
    if len(lengths) < 2:
        return None
    size = float(np.percentile(lengths, _LONGEST))
    return size if size >= 1 else None


def _fitted(here: np.ndarray, there: np.ndarray, zoom: float, stiff: float) -> np.ndarray:
    """(2, 3): the affine map of points (N, 2) onto others, by least squares that tend to a turn
    with the size `zoom`, the more the stiffer."""
    middle, other = here.mean(0), there.mean(0)
    ours, theirs = here - middle, there - other
    u, _, v = np.linalg.svd(ours.T @ theirs)
    turn = zoom * (v.T @ np.diag([1, np.sign(np.linalg.det(v.T @ u.T)) or 1]) @ u.T)
    weight = stiff * float((ours**2).sum()) / 2 + 1e-3
    normal = ours.T @ ours + weight * np.eye(2)
    linear = np.linalg.solve(normal, ours.T @ theirs + weight * turn.T).T
    u, stretch, v = np.linalg.svd(linear)
    linear = u @ np.diag(np.clip(stretch, zoom / _STRETCH, zoom * _STRETCH)) @ v
    return np.column_stack([linear, other - linear @ middle])


def _along(here: np.ndarray, there: np.ndarray, zoom: float) -> np.ndarray | None:
    """(2, 3): the map of a bone (2, 2) onto another: as long as that is, and across it `zoom`."""
    ours, theirs = here[1] - here[0], there[1] - there[0]
    length, other = float(np.hypot(*ours)), float(np.hypot(*theirs))
    if length < 1e-3 or other < 1e-3:
        return None
    ours, theirs = ours / length, theirs / other
    stretch = np.clip(other / length, zoom / _STRETCH, zoom * _STRETCH)
    across, others_across = (np.array([-d[1], d[0]]) for d in (ours, theirs))
    linear = stretch * np.outer(theirs, ours) + zoom * np.outer(others_across, across)
    return np.column_stack([linear, there.mean(0) - linear @ here.mean(0)])


def _plane(here: np.ndarray, deep: np.ndarray, size: float) -> tuple[np.ndarray, float, float]:
    """(3,): how depth goes with x and y through joints (N, 2) of these depths (N,), the flatter
    the less far apart they are; and between which depths it stays."""
    middle = here.mean(0)
    away = here - middle
    normal = away.T @ away + (_FLAT * size) ** 2 * np.eye(2)
    slope = np.linalg.solve(normal, away.T @ (deep - deep.mean()))
    plane = np.array([*slope, deep.mean() - slope @ middle])
    return plane, float(deep.min()), float(deep.max())


def _distance(lines: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """(y1 - y0, x1 - x0) float32: of each pixel from the nearest of the lines (N, 2, 2)."""
    x, y = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)[:, None]
    least = None
    for (ax, ay), (bx, by) in lines.astype(np.float32):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        squared = (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2
        least = squared if least is None else np.minimum(least, squared)
    assert least is not None
    return np.sqrt(least)
