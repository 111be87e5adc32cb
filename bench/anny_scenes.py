"""Motions, phenotypes and cameras for the rendered bodies: angles only, nothing of `anny` itself.

Rest axes of the model: x to the person's left, y to the back, z up. Angles are in degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["SCENES", "Angles", "Scene", "rotation"]

Angles = dict[str, np.ndarray]  # bone label -> (3, 3) rotation in the model's rest axes


def rotation(axis: str | np.ndarray, degrees: float) -> np.ndarray:
    """(3, 3) rotation about x (the person's left), y (back), z (up), or a unit vector."""
    n = np.eye(3)["xyz".index(axis)] if isinstance(axis, str) else axis
    k = np.cross(np.eye(3), n)
    a = np.radians(degrees)
    return np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k


def _arm(side: str, forward: float, out: float, elbow: float) -> Angles:
    # The rest pose holds the arms 45 degrees out; the forearm already bends a little forward.
    sign = 1.0 if side == "L" else -1.0
    upper = rotation("x", -forward) @ rotation("y", sign * (45.0 - out))
    bend = np.cross([sign * 0.17, 0, -0.19], [sign * 0.11, -0.155, -0.118])
    bend /= np.linalg.norm(bend)
    return {
        f"upperarm01.{side}": upper,
        f"lowerarm01.{side}": rotation(bend, elbow - 40.0),
    }


def _leg(side: str, forward: float, out: float, knee: float) -> Angles:
    sign = 1.0 if side == "L" else -1.0
    return {
        f"upperleg01.{side}": rotation("y", -sign * out) @ rotation("x", -forward),
        f"lowerleg01.{side}": rotation("x", knee),
    }


def _trunk(lean: float, twist: float = 0.0, side: float = 0.0) -> Angles:
    bend = rotation("x", lean / 3) @ rotation("z", twist / 3) @ rotation("y", side / 3)
    return dict.fromkeys(("spine04", "spine03", "spine02"), bend)


def _walk(p: float) -> Angles:
    s = np.sin(2 * np.pi * p)
    c = np.cos(2 * np.pi * p)
    return (
        _leg("L", 28 * s + 5, 0, 15 + 35 * max(0.0, c) + 5)
        | _leg("R", -28 * s + 5, 0, 15 + 35 * max(0.0, -c) + 5)
        | _arm("L", -30 * s, 8, 25 - 10 * s)
        | _arm("R", 30 * s, 8, 25 + 10 * s)
        | _trunk(4, 6 * s)
    )


def _reach(p: float) -> Angles:
    # A quick straight arm towards the camera and back, the other one half raised.
    r = np.sin(np.pi * p) ** 2
    return (
        _arm("L", 20 + 75 * r, 5, 70 - 65 * r)
        | _arm("R", 55 - 20 * r, 15, 60)
        | _leg("L", 8, 6, 12)
        | _leg("R", -8, 6, 5)
        | _trunk(5 + 8 * r, -20 * r)
    )


def _crouch(p: float) -> Angles:
    r = 0.5 - 0.5 * np.cos(np.pi * (0.35 + 0.65 * p))
    leg = (80 * r + 10, 12, 95 * r + 10)
    arm = (35 + 45 * r, 10, 30)
    return _leg("L", *leg) | _leg("R", *leg) | _arm("L", *arm) | _arm("R", *arm) | _trunk(35 * r)


def _sit(p: float) -> Angles:
    s = np.sin(2 * np.pi * p)
    return (
        _leg("L", 82, 8, 85)
        | _leg("R", 75 + 8 * s, 12, 70 + 15 * s)
        | _arm("L", 35 + 10 * s, 8, 70)
        | _arm("R", 45 - 15 * s, 20, 80 - 20 * s)
        | _trunk(10 + 5 * s, 10 * s)
    )


def _dance(p: float) -> Angles:
    s = np.sin(2 * np.pi * p)
    c = np.cos(2 * np.pi * p)
    return (
        _arm("L", 20 + 20 * c, 85 + 35 * s, 40 + 30 * c)
        | _arm("R", 30 - 20 * c, 75 - 35 * s, 50 - 30 * s)
        | _leg("L", 15 + 25 * max(0.0, s), 14, 15 + 40 * max(0.0, s))
        | _leg("R", 15 - 10 * s, 12, 25)
        | _trunk(5, 20 * s, 12 * c)
    )


def _guard(p: float) -> Angles:
    s = np.sin(2 * np.pi * p)
    return (
        _arm("L", 80 + 8 * s, 5, 15)
        | _arm("R", 85 - 8 * s, 10, 25)
        | _leg("L", 12, 5, 10)
        | _leg("R", -10, 5, 8)
        | _trunk(8, 8 * s)
    )


@dataclass(frozen=True)
class Scene:
    """A motion over `cycles` of its period, of one phenotype, before one camera."""

    name: str
    motion: Callable[[float], Angles]
    body: dict[str, float]
    yaw: float  # degrees about the vertical: 0 faces the camera, 90 shows the left side
    turn: float = 0.0  # degrees of yaw added over the sequence
    cycles: float = 0.5
    start: float = 0.0
    distance: float = 4.0  # metres from the camera to the hips
    camera_height: float = 0.0  # metres above the hips


def _body(
    gender: float, weight: float, height: float, muscle: float, age: float
) -> dict[str, float]:
    return {
        "gender": gender,
        "age": age,
        "muscle": muscle,
        "weight": weight,
        "height": height,
        "proportions": 0.5,
    }


MAN = _body(0.05, 0.5, 0.6, 0.6, 0.6)
WOMAN = _body(0.95, 0.45, 0.5, 0.5, 0.55)
STOUT = _body(0.2, 0.85, 0.5, 0.5, 0.75)
SLIM = _body(0.7, 0.2, 0.65, 0.4, 0.6)
ATHLETE = _body(0.1, 0.55, 0.75, 0.9, 0.6)
TEEN = _body(0.5, 0.45, 0.4, 0.45, 0.42)

SCENES = (
    Scene("walk towards", _walk, MAN, yaw=10, distance=4.0),
    Scene("walk sideways", _walk, WOMAN, yaw=85, start=0.2, distance=3.5),
    Scene("walk oblique", _walk, TEEN, yaw=-40, start=0.4, distance=4.5, camera_height=0.5),
    Scene("walk away", _walk, STOUT, yaw=165, start=0.1, distance=5.0),
    Scene("reach", _reach, WOMAN, yaw=0, cycles=1.0, distance=3.2),
    Scene("reach oblique", _reach, ATHLETE, yaw=50, cycles=1.0, distance=4.0),
    Scene("crouch", _crouch, SLIM, yaw=20, cycles=1.0, distance=3.5),
    Scene("crouch sideways", _crouch, MAN, yaw=-75, cycles=1.0, distance=4.0),
    Scene("sit", _sit, STOUT, yaw=-15, distance=3.5, camera_height=0.3),
    Scene("sit oblique", _sit, WOMAN, yaw=45, distance=4.0),
    Scene("dance", _dance, SLIM, yaw=0, cycles=0.7, distance=3.5),
    Scene("dance turning", _dance, ATHLETE, yaw=-30, turn=120, cycles=0.7, distance=4.0),
    Scene("arms forward", _guard, MAN, yaw=5, distance=3.0),
    Scene("arms forward, back", _guard, TEEN, yaw=185, distance=4.0),
)
