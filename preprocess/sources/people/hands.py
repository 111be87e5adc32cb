"""What hands do: poses that they go between, around the body."""

import numpy as np

from preprocess.sources.people.draws import Spline, choose

__all__ = ["Arms"]

# Wrists from the shoulders in arm lengths: outwards, forward, up; and how far the elbow is lifted,
# how far the forearm is turned inwards, how far the hand is closed.
_HANDS: dict[str, tuple[float, float, float, float, float, float]] = {
    "side": (0.16, 0.06, -0.92, 0.1, 0.1, 0.45),
    "side, bent": (0.2, 0.3, -0.72, 0.15, 0.3, 0.5),
    "hip": (0.28, 0.1, -0.62, 0.9, 0.5, 0.6),
    "belly": (-0.12, 0.42, -0.5, 0.25, 0.6, 0.4),
    "chest": (-0.05, 0.5, -0.14, 0.3, 0.5, 0.4),
    "forward, low": (0.1, 0.62, -0.42, 0.1, 0.2, 0.3),
    "forward": (0.05, 0.82, 0.02, 0.1, 0.2, 0.25),
    "forward, high": (0.1, 0.66, 0.42, 0.2, 0.1, 0.2),
    "open": (0.45, 0.5, -0.35, 0.2, -0.5, 0.15),
    "out, low": (0.62, 0.2, -0.55, 0.3, 0.2, 0.3),
    "out": (0.88, 0.15, 0.05, 0.5, 0.2, 0.2),
    "out, high": (0.6, 0.1, 0.62, 0.6, 0.2, 0.2),
    "up": (0.14, 0.18, 0.9, 0.7, 0.2, 0.25),
    "head": (-0.02, 0.22, 0.52, 1.2, 0.8, 0.4),
    "wave": (0.4, 0.3, 0.45, 0.5, -0.4, 0.1),
    "across": (-0.35, 0.55, -0.05, 0.4, 0.4, 0.35),
    "knee": (-0.02, 0.58, -0.62, 0.2, 0.6, 0.5),
    "down, forward": (0.0, 0.55, -0.75, 0.1, 0.3, 0.35),
}


class Arms:
    """Hands that go from one pose to another, each in its own time."""

    def __init__(
        self,
        random: np.random.Generator,
        seconds: float,
        poses: tuple[str, ...],
        every: tuple[float, float],
        together: float = 0.4,
        hold: float = 0.35,
    ) -> None:
        count = Spline.count(seconds, every)
        same = random.uniform() < together
        self._splines = []
        names: list[str] = []
        for side in range(2):
            if side == 0 or not same:
                names = [choose(random, poses) for _ in range(count)]
            values = np.array([_HANDS[n] for n in names])
            values[:, :3] += random.normal(0, 0.04, (count, 3))
            values[:, 3:] += random.normal(0, 0.06, (count, 3))
            self._splines.append(Spline(random, seconds, _polar(values), every, hold))

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """(T, 2, 6)"""
        return np.stack([_cartesian(spline(times)) for spline in self._splines], axis=1)


def _polar(hands: np.ndarray) -> np.ndarray:
    """Between poses hands move around the shoulder, not through the chest."""
    out, forward, up = hands[:, 0] + 0.35, hands[:, 1], hands[:, 2]
    radius = np.sqrt(out**2 + forward**2 + up**2)
    polar = np.stack(
        [radius, np.arctan2(np.hypot(out, forward), -up), np.arctan2(out, forward + 0.15)], axis=-1
    )
    return np.concatenate([polar, hands[:, 3:]], axis=-1)


def _cartesian(polar: np.ndarray) -> np.ndarray:
    radius, down, side = polar[:, 0], polar[:, 1], polar[:, 2]
    # Undo the offset of the azimuth's origin: a direction, then the point on it at that radius.
    a, b = np.sin(side), np.cos(side)
    level = radius * np.sin(down)
    t = 0.15 * b + np.sqrt(np.maximum(level**2 - (0.15 * a) ** 2, 0))
    out, forward = a * t - 0.35, b * t - 0.15
    hands = np.stack([out, forward, -radius * np.cos(down)], axis=-1)
    return np.concatenate([hands, polar[:, 3:]], axis=-1)
