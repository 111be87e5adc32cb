"""What people do: postures as functions of time, with their feet on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocess.sources.people.draws import Spline
from preprocess.sources.people.footsteps import Place, Steps, standing, walking
from preprocess.sources.people.hands import Arms
from preprocess.sources.people.posture import Posture, Rig
from preprocess.sources.people.rotations import yaw

__all__ = ["MOTIONS", "Motion", "make_motion"]

_CALM = ("side", "side", "side, bent", "hip", "belly")


@dataclass(frozen=True, eq=False)
class Motion:
    """`posture(times)`: what somebody does at (T,) seconds. `seated`: they sit on something."""

    name: str
    posture: Callable[[np.ndarray], Posture]
    seated: bool = False


def _noise(
    random: np.random.Generator,
    seconds: float,
    scale: np.ndarray,
    every: tuple[float, float] = (0.5, 1.3),
) -> Spline:
    """Around 0 by `scale` (...), a standard deviation."""
    scale = np.asarray(scale, np.float64)
    count = Spline.count(seconds, every)
    return Spline(random, seconds, random.normal(0, 1, (count, *scale.shape)) * scale, every)


def _posture(
    times: np.ndarray,
    rig: Rig,
    steps: list[Steps],
    *,
    pelvis: np.ndarray,
    heading: np.ndarray,
    hands: np.ndarray,
    tilt: np.ndarray | None = None,
    trunk: np.ndarray | None = None,
    head: np.ndarray | None = None,
    knees: float | np.ndarray = 0.08,
) -> Posture:
    frames = len(times)
    feet = [side.at(times, rig) for side in steps]
    none = np.zeros((frames, 3))
    return Posture(
        pelvis=pelvis,
        heading=heading,
        tilt=none[:, :2] if tilt is None else tilt,
        trunk=none if trunk is None else trunk,
        head=none if head is None else head,
        ankles=np.stack([f[0] for f in feet], axis=1),
        feet=np.stack([np.stack([f[1], f[2]], axis=-1) for f in feet], axis=1),
        knees=np.broadcast_to(np.asarray(knees, np.float64), (frames, 2)).copy(),
        hands=hands[..., :3],
        elbows=hands[..., 3],
        palms=hands[..., 4],
        grip=np.clip(hands[..., 5], 0, 1),
    )


def _at(place: Place, frames: int, height: np.ndarray | float) -> np.ndarray:
    """(T, 3) above a place."""
    z = np.broadcast_to(height, (frames,))
    return np.column_stack([np.full(frames, place.x), np.full(frames, place.y), z])


def _gesture(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Standing and talking: weight shifts from leg to leg, hands go along."""
    steps = standing(place, rig, random, random.uniform(0.16, 0.36))
    calm = ("side", "belly", "open", "chest", "forward, low", "hip", "side, bent", "wave")
    arms = Arms(random, seconds, calm, (0.6, 1.4))
    sway = _noise(random, seconds, np.array([0.035, 0.02, 0.0]), (0.9, 2.0))
    turn = _noise(random, seconds, np.array(0.12), (0.9, 2.0))
    trunk = _noise(random, seconds, np.array([0.06, 0.05, 0.12]))
    head = _noise(random, seconds, np.array([0.1, 0.08, 0.3]), (0.5, 1.2))

    def posture(times: np.ndarray) -> Posture:
        heading = place.heading + turn(times)
        shift = np.einsum("tij,tj->ti", yaw(heading), sway(times))
        tilt = np.column_stack([0 * times, 1.4 * sway(times)[:, 0]])
        lean = trunk(times) + np.column_stack(
            [0 * times + 0.03, -1.2 * sway(times)[:, 0], 0 * times]
        )
        return _posture(
            times, rig, steps, pelvis=_at(place, len(times), rig.standing + 0.01) + shift,
            heading=heading, hands=arms(times), tilt=tilt, trunk=lean, head=head(times),
        )  # fmt: skip

    return Motion("gesture", posture)


def _reaching(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Reaching out for something, with the body following the hand."""
    steps = standing(place, rig, random, random.uniform(0.22, 0.42))
    poses = ("forward", "forward, high", "up", "out", "down, forward", "across", "forward, low")
    arms = Arms(random, seconds, (*poses, "side", "side, bent"), (0.6, 1.3), together=0.25)
    head = _noise(random, seconds, np.array([0.06, 0.05, 0.1]))
    trunk = _noise(random, seconds, np.array([0.05, 0.04, 0.06]))

    def posture(times: np.ndarray) -> Posture:
        hands = arms(times)
        far = np.clip(hands[:, :, 1] - 0.45, 0, 1)  # forward
        low = np.clip(-hands[:, :, 2] - 0.3, 0, 1) * far
        lean = np.column_stack(
            [0.45 * far.sum(-1) + 0.9 * low.sum(-1), 0 * times, 0.7 * (far[:, 1] - far[:, 0])]
        )
        pelvis = _at(place, len(times), rig.standing - 0.14 * low.sum(-1))
        back = np.einsum("tij,j->ti", yaw(np.full(len(times), place.heading)), [0.0, 1.0, 0.0])
        pelvis += back * (0.12 * lean[:, :1] - 0.02)
        look = head(times) + np.column_stack([-0.25 * lean[:, 0], 0 * times, 0.3 * lean[:, 2]])
        return _posture(
            times, rig, steps, pelvis=pelvis, heading=np.full(len(times), place.heading),
            hands=hands, tilt=np.column_stack([0.25 * lean[:, 0], 0 * times]),
            trunk=lean * [0.6, 1, 0.8] + trunk(times), head=look,
        )  # fmt: skip

    return Motion("reach", posture)


def _crouching(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Down and up again, more or less deep."""
    every = (0.7, 1.6)
    steps = standing(place, rig, random, random.uniform(0.3, 0.5))
    depth = random.uniform(0.3, 0.62)
    count = Spline.count(seconds, every)
    levels = np.where(np.arange(count) % 2 == random.integers(2), depth, 0.1 * depth)
    down = Spline(random, seconds, levels * random.uniform(0.7, 1.0, count), every, 0.3)
    poses = ("down, forward", "forward, low", "knee", "chest", "belly", "forward")
    arms = Arms(random, seconds, poses, every, together=0.7)
    trunk = _noise(random, seconds, np.array([0.05, 0.05, 0.12]))
    head = _noise(random, seconds, np.array([0.08, 0.06, 0.2]))

    def posture(times: np.ndarray) -> Posture:
        low = down(times)
        pelvis = _at(place, len(times), rig.standing - low * rig.leg)
        back = np.einsum("tij,j->ti", yaw(np.full(len(times), place.heading)), [0.0, 1.0, 0.0])
        pelvis += back * (0.22 * low[:, None] * rig.leg)
        lean = np.column_stack([0.95 * low, 0 * low, 0 * low])
        return _posture(
            times, rig, steps, pelvis=pelvis, heading=np.full(len(times), place.heading),
            hands=arms(times), tilt=np.column_stack([0.55 * low, 0 * low]),
            trunk=lean + trunk(times), head=head(times) - 0.8 * lean,
            knees=np.full((len(times), 2), 0.18) + 0.35 * low[:, None],
        )  # fmt: skip

    return Motion("crouch", posture)


def _sitting(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """On a stool, with calm hands."""
    seat = rig.ankle + rig.shin * random.uniform(0.86, 1.0)
    forward = yaw(place.heading) @ np.array([0.0, -1.0, 0.0])
    feet = Place(
        place.x + forward[0] * (rig.thigh * random.uniform(0.8, 1.05)),
        place.y + forward[1] * (rig.thigh * random.uniform(0.8, 1.05)),
        place.heading,
    )
    steps = standing(feet, rig, random, random.uniform(0.2, 0.42))
    arms = Arms(
        random, seconds, ("knee", "belly", "knee", "chest", "open", "forward, low"), (0.8, 1.8)
    )
    trunk = _noise(random, seconds, np.array([0.08, 0.05, 0.14]))
    head = _noise(random, seconds, np.array([0.1, 0.08, 0.3]))
    base = random.uniform(-0.08, 0.25)

    def posture(times: np.ndarray) -> Posture:
        lean = trunk(times) + [base, 0, 0]
        return _posture(
            times, rig, steps, pelvis=_at(place, len(times), seat + 0.095 * rig.stature / 1.7),
            heading=np.full(len(times), place.heading), hands=arms(times),
            tilt=np.tile([-0.08, 0.0], (len(times), 1)), trunk=lean, head=head(times) - 0.5 * lean,
            knees=np.full((len(times), 2), random_knees),
        )  # fmt: skip

    random_knees = random.uniform(0.02, 0.3)
    return Motion("sit", posture, seated=True)


def _walk(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Along a straight or curved way, in the middle of the time at the place."""
    speed = random.uniform(0.75, 1.45) * rig.stature / 1.7
    step = (0.62 - 0.1 * speed) * random.uniform(0.92, 1.08)
    bend = random.choice([0.0, 0.0, random.uniform(-0.5, 0.5)])  # radians a second
    middle = seconds / 2

    def way(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dt = times - middle
        heading = place.heading + bend * dt
        if abs(bend) < 1e-6:
            x, y = np.sin(heading) * speed * dt, -np.cos(heading) * speed * dt
        else:
            x = -(np.cos(heading) - np.cos(place.heading)) * speed / bend
            y = -(np.sin(heading) - np.sin(place.heading)) * speed / bend
        return np.column_stack([place.x + x, place.y + y]), heading

    phase = random.uniform(0, 2)
    steps = walking(way, seconds, rig, step, 0.13, 0.075, phase)
    swing = random.uniform(0.25, 0.5)
    carry = random.uniform(-0.06, 0.08)
    head = _noise(random, seconds, np.array([0.05, 0.04, 0.18]))
    lean = random.uniform(0.02, 0.1)

    def posture(times: np.ndarray) -> Posture:
        places, heading = way(times)
        # 0 in the middle of the left foot's stance, pi in that of the right one's.
        cycle = np.pi * (times / step - phase)
        bob = 0.014 * np.cos(2 * cycle) - 0.012
        side = 0.022 * np.cos(cycle)
        across = np.column_stack([np.cos(heading), np.sin(heading)])
        pelvis = np.column_stack([places + across * side[:, None], rig.standing + bob])
        ahead = np.sin(cycle)  # the right leg is in front at its greatest
        hands = np.empty((len(times), 2, 6))
        for number, sign in enumerate((1.0, -1.0)):
            s = swing * sign * ahead
            hands[:, number] = np.column_stack(
                [0.14 + carry + 0 * s, 0.12 + 0.9 * s, -0.9 + 0.35 * s**2 + 0.1 * s.clip(0),
                 0.1 + 0 * s, 0.15 + 0 * s, 0.45 + 0 * s]
            )  # fmt: skip
        twist = 0.09 * ahead
        return _posture(
            times, rig, steps, pelvis=pelvis, heading=heading + twist * 0.8, hands=hands,
            tilt=np.column_stack([0.04 + 0 * times, -0.03 * np.cos(cycle)]),
            trunk=np.column_stack([lean + 0 * times, 0.03 * np.cos(cycle), -2.2 * twist]),
            head=head(times) + np.column_stack([-0.8 * lean + 0 * times, 0 * times, 1.2 * twist]),
            knees=0.03,
        )  # fmt: skip

    return Motion("walk", posture)


def _turning(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Turning on the spot with small steps."""
    total = random.choice([-1, 1]) * random.uniform(1.2, 2 * np.pi)
    step = random.uniform(0.34, 0.5)
    rate = total / seconds

    def way(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        heading = place.heading + rate * (times - seconds / 2)
        return np.tile([place.x, place.y], (len(times), 1)), heading

    phase = random.uniform(0, 2)
    steps = walking(way, seconds, rig, step, random.uniform(0.18, 0.26), 0.05, phase)
    arms = Arms(random, seconds, (*_CALM, "out, low", "forward, low"), (0.8, 1.8), together=0.7)
    trunk = _noise(random, seconds, np.array([0.04, 0.03, 0.05]))
    head = _noise(random, seconds, np.array([0.05, 0.04, 0.15]))

    def posture(times: np.ndarray) -> Posture:
        places, heading = way(times)
        cycle = np.pi * (times / step - phase)
        across = np.column_stack([np.cos(heading), np.sin(heading)])
        pelvis = np.column_stack(
            [places + across * (0.035 * np.cos(cycle))[:, None],
             rig.standing - 0.015 + 0.008 * np.cos(2 * cycle)]
        )  # fmt: skip
        look = head(times) + [0, 0, 0.2 * np.sign(total)]
        return _posture(
            times, rig, steps, pelvis=pelvis, heading=heading, hands=arms(times),
            trunk=trunk(times) + [0.02, 0, 0.05 * np.sign(total)], head=look,
        )  # fmt: skip

    return Motion("turn", posture)


def _dancing(random: np.random.Generator, seconds: float, rig: Rig, place: Place) -> Motion:
    """Hips and knees in time, steps on the spot, lively arms."""
    beat = random.uniform(0.42, 0.6)
    swing = random.uniform(0.2, 0.6)
    drift = _noise(random, seconds, np.array([0.1, 0.08]), (0.9, 1.8))

    def way(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        heading = place.heading + swing * np.sin(2 * np.pi * times / (8 * beat))
        return np.array([place.x, place.y]) + drift(times), heading

    phase = random.uniform(0, 2)
    width = random.uniform(0.24, 0.4)
    steps = walking(way, seconds, rig, 2 * beat, width, random.uniform(0.05, 0.14), phase)
    lively = ("out", "up", "out, high", "chest", "forward", "head", "out, low", "wave", "across",
              "hip", "open", "forward, high")  # fmt: skip
    arms = Arms(random, seconds, lively, (1.0 * beat, 2.2 * beat), together=0.55, hold=0.15)
    trunk = _noise(random, seconds, np.array([0.08, 0.1, 0.18]), (0.5, 1.0))
    head = _noise(random, seconds, np.array([0.1, 0.12, 0.25]), (0.5, 1.0))
    bounce = random.uniform(0.015, 0.045)
    hips = random.uniform(0.03, 0.07)

    def posture(times: np.ndarray) -> Posture:
        places, heading = way(times)
        cycle = np.pi * (times / (2 * beat) - phase)
        across = np.column_stack([np.cos(heading), np.sin(heading)])
        side = hips * np.cos(cycle)
        pelvis = np.column_stack(
            [places + across * side[:, None],
             rig.standing - bounce * (1.2 + np.cos(2 * np.pi * times / beat))]
        )  # fmt: skip
        tilt = np.column_stack([0.04 + 0 * times, 1.6 * side])
        lean = trunk(times) + np.column_stack([0.02 + 0 * times, -2.0 * side, 0 * times])
        return _posture(
            times, rig, steps, pelvis=pelvis, heading=heading + 0.15 * np.sin(cycle),
            hands=arms(times), tilt=tilt, trunk=lean, head=head(times), knees=0.15,
        )  # fmt: skip

    return Motion("dance", posture)


MOTIONS: dict[str, Callable[[np.random.Generator, float, Rig, Place], Motion]] = {
    "walk": _walk,
    "turn": _turning,
    "reach": _reaching,
    "crouch": _crouching,
    "sit": _sitting,
    "dance": _dancing,
    "gesture": _gesture,
}


def make_motion(
    name: str, random: np.random.Generator, seconds: float, rig: Rig, place: Place
) -> Motion:
    """A motion of MOTIONS, drawn from `random`, about a place, for so many seconds."""
    return MOTIONS[name](random, seconds, rig, place)
