"""Where feet stand, and how they go from one place to the next."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocess.sources.people.draws import smooth_step
from preprocess.sources.people.posture import Rig
from preprocess.sources.people.rotations import yaw

__all__ = ["Place", "Steps", "standing", "walking"]


@dataclass(frozen=True)
class Place:
    """Where somebody is on the floor, and which way they face: metres and radians."""

    x: float
    y: float
    heading: float


@dataclass(frozen=True, eq=False)
class Steps:
    """Of one foot: where it stands, (N, 2), its headings (N,), from when, and when it is lifted."""

    places: np.ndarray
    headings: np.ndarray
    landed: np.ndarray
    lifted: np.ndarray
    clearance: float

    def at(self, times: np.ndarray, rig: Rig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ankles (T, 3), headings (T,) and how far the heel is up (T,)."""
        now = np.clip(np.searchsorted(self.landed, times, "right") - 1, 0, len(self.landed) - 1)
        following = np.minimum(now + 1, len(self.landed) - 1)
        start, end = self.lifted[now], self.landed[following]
        last = following == now
        u = np.where(last, 0.0, (times - start) / np.maximum(end - start, 1e-6))
        s = smooth_step(u)
        place = self.places[now] * (1 - s[:, None]) + self.places[following] * s[:, None]
        heading = self.headings[now] * (1 - s) + self.headings[following] * s
        up = np.sin(np.pi * np.clip(u, 0, 1)) ** 2 * self.clearance
        stride = np.linalg.norm(self.places[following] - self.places[now], axis=-1)
        # The heel leaves the floor before the toes do, and comes down first.
        off = np.clip(stride / 0.9, 0, 1)
        before = smooth_step((times - start) / 0.22 + 1) * (1 - smooth_step(u / 0.75)) * ~last
        heel = 0.62 * off * before - 0.28 * off * np.sin(np.pi * np.clip((u - 0.5) * 2, 0, 1))
        toe = np.stack([np.sin(heading), -np.cos(heading)], axis=-1) * rig.instep
        height = rig.ankle + up
        # Turned about the toes while they are on the floor.
        planted = np.maximum(heel, 0)
        ankle = place + toe - toe * np.cos(planted)[:, None]
        height = height + rig.instep * np.sin(planted)
        return np.concatenate([ankle, height[:, None]], axis=-1), heading, heel


def standing(place: Place, rig: Rig, random: np.random.Generator, width: float) -> list[Steps]:
    """Both feet where they stay."""
    steps = []
    for side in (1.0, -1.0):
        ahead = random.uniform(-0.06, 0.06)
        offset = yaw(place.heading) @ np.array([side * width / 2, ahead, 0.0])
        heading = place.heading + side * random.uniform(0.02, 0.25)
        steps.append(
            Steps(
                np.array([[place.x, place.y]]) + offset[:2],
                np.array([heading]),
                np.array([-1e3]),
                np.array([1e3]),
                0.0,
            )
        )
    return steps


def walking(
    way: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    seconds: float,
    rig: Rig,
    step: float,
    width: float,
    clearance: float,
    phase: float,
) -> list[Steps]:
    """Steps of `step` seconds each along a way that gives places (N, 2) and headings (N,)."""
    steps = []
    for side, sign in enumerate((1.0, -1.0)):
        count = int(np.ceil(seconds / (2 * step))) + 4
        middle = (2 * np.arange(-2, count) + side + phase) * step  # of each stance
        places, headings = way(middle)
        across = np.stack([np.cos(headings), np.sin(headings)], axis=-1)
        landed = middle - 0.62 * step
        lifted = middle + 0.58 * step
        steps.append(
            Steps(
                places + sign * 0.5 * width * across,
                headings + sign * 0.08,
                landed,
                lifted,
                clearance,
            )
        )
    return steps
