"""From what a person does to how their bones are turned: two-bone chains, hands and spine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocess.sources.people.body import Body, Template, bone_transforms
from preprocess.sources.people.rotations import about, dot, frame, unit, yaw

__all__ = ["Posture", "Rig", "pose_bones"]

_SetTurn = Callable[[str, np.ndarray], None]

_SIDES = ("L", "R")
_FRONT = np.array([0.0, -1.0, 0.0])
_STRAIGHT = 0.998  # of a limb's length: it is never quite straight
_FINGERS = (2, 3, 4, 5)


@dataclass(frozen=True, eq=False)
class Posture:
    """What a person does at T moments. Lengths in metres, angles in radians.

    `pelvis`  (T, 3) where the hips should be, lowered where the legs would not reach the feet.
    `heading` (T,) of the pelvis; 0 faces -y, and grows to the person's left.
    `tilt`    (T, 2) of the pelvis: forward, and to the left.
    `trunk`   (T, 3) from pelvis to shoulders: forward, to the left, twisted to the left.
    `head`    (T, 3) against the shoulders, likewise.
    `ankles`  (T, 2, 3) left and right, in the world.
    `feet`    (T, 2, 2) heading, and how far the heel is up.
    `knees`   (T, 2) how far knees point outwards.
    `hands`   (T, 2, 3) wrists from the shoulders in arm lengths: outwards, forward, up, in the
              shoulders' axes.
    `elbows`  (T, 2) how far elbows are lifted outwards.
    `palms`   (T, 2) how far the forearm is turned inwards.
    `grip`    (T, 2) 0 for an open hand, 1 for a fist.
    """

    pelvis: np.ndarray
    heading: np.ndarray
    tilt: np.ndarray
    trunk: np.ndarray
    head: np.ndarray
    ankles: np.ndarray
    feet: np.ndarray
    knees: np.ndarray
    hands: np.ndarray
    elbows: np.ndarray
    palms: np.ndarray
    grip: np.ndarray


@dataclass(frozen=True, eq=False)
class Rig:
    """Lengths of a body that motions must know.

    `thigh`, `shin`, `arm` lengths; `hips` (2, 3) from the root; `ankle` height of the joint above
    the sole; `instep` from ankle to toes along the foot; `sole` thickness of the shoe.
    """

    thigh: float
    shin: float
    arm: float
    hips: np.ndarray
    ankle: float
    instep: float
    sole: float
    stature: float

    @staticmethod
    def of(body: Body, shared: Template, sole: float) -> Rig:
        def head(name: str) -> np.ndarray:
            return body.heads[shared.bone(name)]

        def length(a: str, b: str) -> float:
            return float(np.linalg.norm(head(a) - head(b)))

        floor = body.vertices[:, 2].min()
        return Rig(
            length("upperleg01.L", "lowerleg01.L"),
            length("lowerleg01.L", "foot.L"),
            length("upperarm01.L", "lowerarm01.L") + length("lowerarm01.L", "wrist.L"),
            np.stack([head(f"upperleg01.{s}") - head("root") for s in _SIDES]),
            float(head("foot.L")[2] - floor) + sole,
            float(head("foot.L")[1] - head("toe1-1.L")[1]),
            sole,
            body.height + sole,
        )

    @property
    def leg(self) -> float:
        return self.thigh + self.shin

    @property
    def standing(self) -> float:
        """Height of the root above the floor with nearly straight legs under it."""
        return self.ankle + 0.99 * self.leg - float(self.hips[:, 2].mean())


def pose_bones(
    posture: Posture, body: Body, rig: Rig, shared: Template
) -> tuple[np.ndarray, np.ndarray]:
    """Bones' heads (T, B, 3) in the world, and their (T, B, 3, 4) transforms from rest."""
    frames = len(posture.heading)
    turns = np.broadcast_to(np.eye(3), (frames, len(shared.bones), 3, 3)).copy()
    turned: set[int] = set()

    def set_turn(name: str, turn: np.ndarray) -> None:
        turns[:, shared.bone(name)] = turn
        turned.add(shared.bone(name))

    def spread() -> None:
        for bone, parent in enumerate(shared.parents):
            if bone not in turned and parent >= 0:
                turns[:, bone] = turns[:, parent]

    pelvis = yaw(posture.heading) @ _bend(
        posture.tilt[:, 0], posture.tilt[:, 1], 0 * posture.heading
    )
    set_turn("root", pelvis)
    spine = ("spine05", "spine04", "spine03", "spine02", "spine01")
    for number, name in enumerate(spine, start=1):
        share = number / len(spine)
        set_turn(name, pelvis @ _bend(*(posture.trunk.T * share)))
    shoulders = turns[:, shared.bone("spine01")]
    for number, name in enumerate(("neck01", "neck02", "neck03", "head"), start=1):
        set_turn(name, shoulders @ _bend(*(posture.head.T * (number / 4))))
    root = posture.pelvis.copy()
    root[:, 2] = np.minimum(root[:, 2], _reach(posture, rig, pelvis))

    for side in range(2):
        _clavicle(posture, side, shoulders, set_turn)
    spread()
    placed, _ = bone_transforms(body.heads, shared.parents, turns, root)
    for side in range(2):
        _leg(posture, side, body, shared, placed, set_turn)
        _arm(posture, side, body, shared, rig, shoulders, placed, set_turn)
    spread()
    return bone_transforms(body.heads, shared.parents, turns, root)


def _bend(forward: np.ndarray, left: np.ndarray, twist: np.ndarray) -> np.ndarray:
    return yaw(twist) @ about("x", forward) @ about("y", left)


def _reach(posture: Posture, rig: Rig, pelvis: np.ndarray) -> np.ndarray:
    """The highest that the root may be so that both legs reach the ankles, (T,)."""
    highest = []
    for side in range(2):
        hip = np.einsum("tij,j->ti", pelvis, rig.hips[side])
        across = posture.ankles[:, side, :2] - posture.pelvis[:, :2] - hip[:, :2]
        length = _STRAIGHT * rig.leg
        up = np.sqrt(np.maximum(length**2 - (across**2).sum(-1), (0.3 * length) ** 2))
        highest.append(posture.ankles[:, side, 2] + up - hip[:, 2])
    a, b = highest
    soft = 0.01  # metres over which the lower of the two takes over
    return 0.5 * (a + b - np.sqrt((a - b) ** 2 + soft**2)) - 0.002


def _two_bones(
    start: np.ndarray, end: np.ndarray, upper: float, lower: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit directions (T, 3) of both bones, and of the side to which the joint between points."""
    way = end - start
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    along = way / np.maximum(distance, 1e-9)
    longest = _STRAIGHT * (upper + lower)
    distance = np.clip(distance, 1.02 * abs(upper - lower) + 1e-3, longest)
    cos = np.clip((upper**2 + distance**2 - lower**2) / (2 * upper * distance), -1, 1)
    out = unit(pole - dot(pole, along) * along)
    joint = start + upper * (cos * along + np.sqrt(1 - cos**2) * out)
    return unit(joint - start), unit(start + distance * along - joint), out


def _leg(
    posture: Posture,
    side: int,
    body: Body,
    shared: Template,
    placed: np.ndarray,
    set_turn: _SetTurn,
) -> None:
    name = _SIDES[side]
    outwards = 1.0 if side == 0 else -1.0
    hip, knee, ankle = (shared.bone(f"{b}.{name}") for b in ("upperleg01", "lowerleg01", "foot"))
    rest = body.heads
    upper = float(np.linalg.norm(rest[knee] - rest[hip]))
    lower = float(np.linalg.norm(rest[ankle] - rest[knee]))
    # Knees point to where the foot does, and a little outwards.
    facing = 0.5 * (posture.feet[:, side, 0] + posture.heading) + outwards * posture.knees[:, side]
    pole = np.einsum("tij,j->ti", yaw(facing), _FRONT)
    thigh, shin, out = _two_bones(placed[:, hip], posture.ankles[:, side], upper, lower, pole)
    set_turn(f"upperleg01.{name}", frame(thigh, out) @ frame(rest[knee] - rest[hip], _FRONT).T)
    set_turn(f"lowerleg01.{name}", frame(shin, out) @ frame(rest[ankle] - rest[knee], _FRONT).T)
    sole = yaw(posture.feet[:, side, 0])
    set_turn(f"foot.{name}", sole @ about("x", posture.feet[:, side, 1]))
    for toe in range(1, 6):
        set_turn(f"toe{toe}-1.{name}", sole @ about("x", 0.25 * posture.feet[:, side, 1]))


def _clavicle(posture: Posture, side: int, shoulders: np.ndarray, set_turn: _SetTurn) -> None:
    """Shoulders go up and forward with the hands."""
    outwards = 1.0 if side == 0 else -1.0
    hand = unit(posture.hands[:, side])
    up = np.clip(hand[:, 2] + 0.35, 0, 1.35) * 0.28
    forward = np.clip(hand[:, 1], -0.3, 1) * 0.18
    lift = about("y", -outwards * up) @ yaw(-outwards * forward)
    set_turn(f"clavicle.{_SIDES[side]}", shoulders @ lift)


def _arm(
    posture: Posture,
    side: int,
    body: Body,
    shared: Template,
    rig: Rig,
    shoulders: np.ndarray,
    placed: np.ndarray,
    set_turn: _SetTurn,
) -> None:
    name = _SIDES[side]
    outwards = 1.0 if side == 0 else -1.0
    axes = shoulders @ np.diag([outwards, -1.0, 1.0])  # outwards, forward, up
    shoulder, elbow, wrist = (
        shared.bone(f"{b}.{name}") for b in ("upperarm01", "lowerarm01", "wrist")
    )
    rest = body.heads
    upper = float(np.linalg.norm(rest[elbow] - rest[shoulder]))
    lower = float(np.linalg.norm(rest[wrist] - rest[elbow]))
    hand = posture.hands[:, side]
    target = placed[:, shoulder] + np.einsum("tij,tj->ti", axes, hand * rig.arm)
    # Elbows point back and down, with raised hands outwards.
    lifted = posture.elbows[:, side]
    raised = np.clip(hand[:, 2] + 0.2, 0, 1)
    pole = np.stack(
        [0.25 + lifted + 0.9 * raised, -1.0 + 0.9 * raised, -0.7 + lifted - 0.2 * raised], axis=-1
    )
    pole = np.einsum("tij,tj->ti", axes, pole)
    upper_way, lower_way, out = _two_bones(placed[:, shoulder], target, upper, lower, pole)
    rest_line = unit(rest[wrist] - rest[shoulder])
    bent = rest[elbow] - rest[shoulder]
    rest_out = bent - dot(bent, rest_line) * rest_line
    rest_upper, rest_lower = rest[elbow] - rest[shoulder], rest[wrist] - rest[elbow]
    turn = frame(upper_way, out) @ frame(rest_upper, rest_out).T
    swing = _swing(np.einsum("tij,j->ti", shoulders, unit(rest_upper)), upper_way) @ shoulders
    # The skin twists along the upper arm, not at the shoulder alone.
    half = _half(swing, turn, upper_way)
    set_turn(f"upperarm01.{name}", half)
    set_turn(f"upperarm02.{name}", turn)
    forearm = frame(lower_way, out) @ frame(rest_lower, rest_out).T
    roll = outwards * posture.palms[:, side]
    set_turn(f"lowerarm01.{name}", forearm)
    set_turn(f"lowerarm02.{name}", about(lower_way, 0.5 * roll) @ forearm)
    palm = about(lower_way, roll) @ forearm
    set_turn(f"wrist.{name}", palm)
    for finger in range(1, 6):
        bones = [shared.bone(f"finger{finger}-{i}.{name}") for i in (1, 2, 3)]
        first, second = rest[bones[1]] - rest[bones[0]], rest[bones[2]] - rest[bones[1]]
        axis = np.einsum("tij,j->ti", palm, unit(np.cross(unit(first), unit(second))))
        grip = posture.grip[:, side] * (0.45 if finger == 1 else 1.0)
        for number, bone in enumerate(bones):
            bend = grip * (0.9, 1.9, 2.6)[number]
            set_turn(shared.bones[bone], about(axis, bend) @ palm)


def _swing(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The smallest rotations that take unit vectors (T, 3) to others."""
    axis = np.cross(before, after)
    sine = np.linalg.norm(axis, axis=-1)
    return about(unit(axis), np.arctan2(sine, dot(before, after)[..., 0]))


def _half(swing: np.ndarray, turn: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Half of the twist about `along` (T, 3) between two rotations that agree in it."""
    rest = turn @ np.swapaxes(swing, -1, -2)
    skew = np.stack(
        [
            rest[:, 2, 1] - rest[:, 1, 2],
            rest[:, 0, 2] - rest[:, 2, 0],
            rest[:, 1, 0] - rest[:, 0, 1],
        ],
        axis=-1,
    )
    angle = np.arctan2(0.5 * dot(skew, along)[..., 0], 0.5 * (np.trace(rest, axis1=1, axis2=2) - 1))
    return about(along, 0.5 * angle) @ swing
