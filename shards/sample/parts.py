"""Parts of a body by its joints, and how each of them moves from one picture to another.

A body is torso, head and two parts of each limb, about the lines between its joints. All lengths
are in torsos, from neck to hip, of the body as it is seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from shards.sample.keypoints import COCO_18, are_seen

__all__ = ["Body", "Part", "belonging", "distance", "parts_between"]

(_NECK,) = COCO_18.indices("neck")
_EARS = COCO_18.indices("right_ear", "left_ear")
_EYES = COCO_18.indices("right_eye", "left_eye")
_SHOULDERS = COCO_18.indices("right_shoulder", "left_shoulder")
_FRONT = COCO_18.indices("nose", "right_eye", "left_eye")
_FACE = [*_FRONT, *_EARS]
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


class _Shape(NamedTuple):
    """Of a part: `radius` in torsos; `before_bone`, how far its surface is before the bone, in the
    range of a person's depths; `before` and `beyond`, by what share of itself a limb's part goes on
    at its two ends, since hands and feet hang on the last."""

    radius: float
    before_bone: float
    before: float = 0.0
    beyond: float = 0.0


TORSO, HEAD = "torso", "head"
_SHAPES = {TORSO: _Shape(0.2, 0.093), HEAD: _Shape(0.3, 0.035)}
_ARMS = {
    ("shoulder", "elbow"): _Shape(0.15, 0.06, 0.0, 0.1),
    ("elbow", "wrist"): _Shape(0.13, 0.035, 0.1, 0.55),
}
_LEGS = {
    ("hip", "knee"): _Shape(0.24, 0.091, 0.1, 0.1),
    ("knee", "ankle"): _Shape(0.25, 0.065, 0.1, 0.45),
}
_BONES: dict[str, list[int]] = {}
for _limb in (_ARMS, _LEGS):
    for (_a, _b), _shape in _limb.items():
        for _side in ("right", "left"):
            _SHAPES[f"{_side}_{_a}"] = _shape
            _BONES[f"{_side}_{_a}"] = COCO_18.indices(f"{_side}_{_a}", f"{_side}_{_b}")
_LEG_PARTS = frozenset(f"{side}_{a}" for side in ("right", "left") for a, _ in _LEGS)

# Lengths of bones that make a torso, for the body's size of whatever of it is seen.
_LENGTHS = tuple(
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
_BENT = 0.3  # how far a torso's map tends to a turn and a size, against its joints
_STRETCH = 1.7  # by which a part may be longer or shorter than the body's size says
_EYES_APART = 0.13  # torsos that the eyes of who looks at the camera are apart
_SIDEWAYS = 0.07  # and by which the face's front is beside the ears of who looks sideways
_NARROW = 0.6  # and at most so far apart are the shoulders of who stands sideways
_FLAT = 0.1  # torsos that joints must be apart for their depths to slope
_INSIDE = 64  # of the mask, from where a pixel is the body's
_EDGE = (5, 5)  # pixels that a piece's soft edge takes with it, on both sides
_ABOUT = 0.5  # radii from a part's middle within which its own pixels lie
_OWN = 0.9  # radii within which pixels belong to a part rather than to another


@dataclass(frozen=True, eq=False)
class Body:
    """Somebody's joints in a picture: `places` (18, 2) float64, in pixels, those of `COCO_18`;
    `known` (18,) bool; `size`, pixels of a torso."""

    places: np.ndarray
    known: np.ndarray
    size: float

    @classmethod
    def of(cls, joints: np.ndarray, min_score: float) -> "Body | None":
        """By joints (18, 3), x, y and a score; None where fewer than two bones are known, or it is
        smaller than a pixel."""
        known = are_seen(joints, min_score)
        lengths = [
            torsos * float(np.hypot(*np.diff(joints[bone, :2], axis=0)[0]))
            for bone, torsos in _LENGTHS
            if known[bone].all()
        ]
        if len(lengths) < 2:
            return None
        size = float(np.percentile(lengths, _LONGEST))
        return cls(joints[:, :2].astype(np.float64), known, size) if size >= 1 else None

    @cached_property
    def head(self) -> np.ndarray | None:
        """(2,): the middle of the head, which is between the ears from whatever side it is seen.
        Where one is known alone, it is the middle of a head in profile, which the eyes are close
        together in; of one from the front, and without ears, the middle is the face's."""
        ears, front = ([j for j in joints if self.known[j]] for joints in (_EARS, _FRONT))
        if len(ears) == 1 and len(front) == len(_FRONT):
            apart = self._width(*_EYES)
            frontal = min(apart / _EYES_APART, 1.0)
            ear, face = self.places[ears[0]], self.places[front].mean(0)
            return np.asarray(ear + frontal * (face - ear))
        seen = ears or front
        return np.asarray(self.places[seen].mean(0)) if seen else None

    def _width(self, a: int, b: int) -> float:
        """Torsos between two joints."""
        return float(np.hypot(*(self.places[a] - self.places[b]))) / self.size

    @cached_property
    def neck_to_head(self) -> np.ndarray | None:
        """(2, 2): the two ends."""
        if self.head is None or not self.known[_NECK]:
            return None
        line = np.array([self.places[_NECK], self.head])
        return line if np.hypot(*(line[1] - line[0])) >= 1e-3 else None

    @cached_property
    def face_side(self) -> int:
        """1 or -1 where the face's front is to either side of the middle of the head, across the
        line from the neck; 0 where it is to neither."""
        line, front = self.neck_to_head, [j for j in _FRONT if self.known[j]]
        if line is None or not front:
            return 0
        up = line[1] - line[0]
        across = np.array([-up[1], up[0]]) / np.hypot(*up)
        away = float((self.places[front].mean(0) - line[1]) @ across) / self.size
        return int(np.sign(away)) if abs(away) > _SIDEWAYS else 0

    @cached_property
    def side(self) -> int:
        """1 or -1 where who looks to a side stands sideways, too: the shoulders are narrow."""
        right, left = _SHOULDERS
        both = self.known[right] and self.known[left]
        return self.face_side if both and self._width(right, left) < _NARROW else 0

    @cached_property
    def lines(self) -> dict[str, np.ndarray]:
        """(N, 2, 2) of each part: the ends of its middle."""
        lines = {}
        trunk = [self.places[line] for line in _TRUNK if self.known[line].all()]
        if trunk:
            lines[TORSO] = np.array(trunk)
        if self.neck_to_head is not None:
            neck, head = self.neck_to_head
            up = head - neck
            lines[HEAD] = np.array([[neck + 0.35 * up, head + 0.45 * up]])
        for part, bone in _BONES.items():
            if self.known[bone].all():
                shape, (start, end) = _SHAPES[part], self.places[bone]
                step = end - start
                lines[part] = np.array([[start - shape.before * step, end + shape.beyond * step]])
        return lines


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a body in a frame: `to_foreground` (2, 3) float64, pixels of the frame to those of
    the foreground; `lines` (N, 2, 2), its middle in the frame; `radius` in pixels of it; `plane`
    (3,), by which the depth of its bone goes with x and y, between `near` and `far`;
    `before_bone`, how far its surface is before that."""

    name: str
    to_foreground: np.ndarray
    lines: np.ndarray
    radius: float
    plane: np.ndarray
    near: float
    far: float
    before_bone: float

    def bone_depth(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """(y1 - y0, x1 - x0) float32: of the bone, in the range of the person's."""
        x, y = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)[:, None]
        slope_x, slope_y, at_zero = self.plane.astype(np.float32)
        deep: np.ndarray = np.clip(slope_x * x + slope_y * y + at_zero, self.near, self.far)
        return deep


def parts_between(there: Body, here: Body, deep: np.ndarray) -> Iterator[Part]:
    """The parts that a foreground (`there`) and a frame (`here`) both show; `deep` (18,), depths
    of the frame's joints.

    Whose face looks to the other side than in the foreground has the head as in a mirror, and who
    stands so as well the legs.
    """
    zoom = there.size / here.size
    both = there.known & here.known

    def part(name: str, moved: np.ndarray, joints: list[int]) -> Part:
        shape = _SHAPES[name]
        plane = _plane(here.places[joints], deep[joints], here.size)
        radius = shape.radius * here.size
        return Part(name, moved, here.lines[name], radius, *plane, shape.before_bone)

    torso = [joint for joint in _TORSO if both[joint]]
    if len(torso) > 2:
        yield part(TORSO, _fitted(here.places[torso], there.places[torso], zoom), torso)
    ours, theirs = here.neck_to_head, there.neck_to_head
    if ours is not None and theirs is not None:
        mirrored = here.face_side * there.face_side < 0
        moved = _along(ours, theirs, zoom, mirrored=mirrored, stretches=False)
        if moved is not None:
            yield part(HEAD, moved, [joint for joint in _FACE if here.known[joint]])
    about = here.side * there.side < 0
    for name, bone in _BONES.items():
        if both[bone].all():
            turned = about and name in _LEG_PARTS
            moved = _along(here.places[bone], there.places[bone], zoom, mirrored=turned)
            if moved is not None:
                yield part(name, moved, bone)


def belonging(body: Body, mask: np.ndarray) -> dict[str, np.ndarray]:
    """(H, W) float32 of each part, in [0, 1]: how far a pixel is that part's and not another's of
    the same body, which is nearer; `mask` (H, W) uint8, the body's.

    What is nearest to a part, and apart from what lies about its middle, is none of it: a shoe's
    tip beside the other foot's heel.
    """
    height, width = mask.shape
    near, away = {}, {}
    for name, lines in body.lines.items():
        radius = _OWN * _SHAPES[name].radius * body.size
        away[name] = distance(lines, 0, 0, width, height) / radius
        near[name] = np.exp(-(away[name] ** 2))
    if not near:
        return {}
    nearest = np.argmax(np.stack(list(near.values())), 0)
    for number, name in enumerate(near):
        its = (nearest == number) & (mask > _INSIDE)
        near[name][_apart(its, its & (away[name] < _ABOUT))] = 0
    total = sum(near.values(), np.full((height, width), 1e-6, np.float32))
    return {name: weight / total for name, weight in near.items()}


def _apart(its: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """(H, W) bool: those pieces of a part's pixels, soft edges with them, that do not hang together
    with what lies about its middle; none where nothing lies there."""
    labels = cv2.connectedComponents(its.astype(np.uint8), connectivity=4)[1]
    if not middle.any():
        return np.zeros_like(its)
    apart = its & ~np.isin(labels, labels[middle])
    around = cv2.dilate(apart.astype(np.uint8), np.ones(_EDGE, np.uint8)) > 0
    return around & (apart | ~its)


def distance(lines: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
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


def _fitted(here: np.ndarray, there: np.ndarray, zoom: float) -> np.ndarray:
    """(2, 3): the affine map of points (N, 2) onto others, by least squares that tend to a turn
    with the size `zoom`."""
    middle, other = here.mean(0), there.mean(0)
    ours, theirs = here - middle, there - other
    u, _, v = np.linalg.svd(ours.T @ theirs)
    turn = zoom * (v.T @ np.diag([1, np.sign(np.linalg.det(v.T @ u.T)) or 1]) @ u.T)
    weight = _BENT * float((ours**2).sum()) / 2 + 1e-3
    normal = ours.T @ ours + weight * np.eye(2)
    linear = np.linalg.solve(normal, ours.T @ theirs + weight * turn.T).T
    u, stretch, v = np.linalg.svd(linear)
    linear = u @ np.diag(np.clip(stretch, zoom / _STRETCH, zoom * _STRETCH)) @ v
    return np.column_stack([linear, other - linear @ middle])


def _along(
    here: np.ndarray, there: np.ndarray, zoom: float, *, mirrored: bool, stretches: bool = True
) -> np.ndarray | None:
    """(2, 3): the map of a bone (2, 2) onto another: as long as that is, if it stretches, and
    across it `zoom`. What does not stretch is fixed by its second end."""
    ours, theirs = here[1] - here[0], there[1] - there[0]
    length, other = float(np.hypot(*ours)), float(np.hypot(*theirs))
    if length < 1e-3 or other < 1e-3:
        return None
    ours, theirs = ours / length, theirs / other
    stretch = np.clip(other / length, zoom / _STRETCH, zoom * _STRETCH) if stretches else zoom
    across, others_across = (np.array([-d[1], d[0]]) for d in (ours, theirs))
    side = -zoom if mirrored else zoom
    linear = stretch * np.outer(theirs, ours) + side * np.outer(others_across, across)
    at = (here.mean(0), there.mean(0)) if stretches else (here[1], there[1])
    return np.column_stack([linear, at[1] - linear @ at[0]])


def _plane(here: np.ndarray, deep: np.ndarray, size: float) -> tuple[np.ndarray, float, float]:
    """(3,): how depth goes with x and y through joints (N, 2) of these depths (N,), the flatter
    the less far apart they are; and between which depths it stays."""
    middle = here.mean(0)
    away = here - middle
    normal = away.T @ away + (_FLAT * size) ** 2 * np.eye(2)
    slope = np.linalg.solve(normal, away.T @ (deep - deep.mean()))
    plane = np.array([*slope, deep.mean() - slope @ middle])
    return plane, float(deep.min()), float(deep.max())
