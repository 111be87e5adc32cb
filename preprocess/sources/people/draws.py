"""Random numbers by name: what is drawn for one thing does not depend on what else was drawn."""

from collections.abc import Mapping, Sequence

import numpy as np

from shards.files.digest import sha256

__all__ = ["Spline", "choose", "draws", "smooth_step"]


def draws(*name: object) -> np.random.Generator:
    """A generator of its own for a name, as in `draws(seed, video, "camera")`."""
    digest = sha256("/".join(map(str, name)).encode())
    return np.random.Generator(np.random.Philox(int(digest[:32], 16)))


def choose(random: np.random.Generator, weights: Mapping[str, float] | Sequence[str]) -> str:
    """One of the names, by their weights, or each as likely as the others."""
    names = list(weights)
    each = (
        [float(weights[n]) for n in names] if isinstance(weights, Mapping) else [1.0] * len(names)
    )
    return names[int(random.choice(len(names), p=np.array(each) / sum(each)))]


def smooth_step(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 with speed and acceleration 0 at both ends; `x` is clamped to [0, 1]."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


class Spline:
    """A smooth way through random values: a function of time, in seconds, alone.

    Values are held for part of each interval where `hold` says so, as people pause in a pose.
    """

    def __init__(
        self,
        random: np.random.Generator,
        seconds: float,
        values: np.ndarray,
        every: tuple[float, float],
        hold: float = 0.0,
    ) -> None:
        """`values`: (N, ...) to take one after the other, the first before time 0.

        `every`: range of the seconds from one to the next; `hold`: fraction of it at rest.
        """
        steps = random.uniform(*every, size=len(values))
        self._times = np.cumsum(steps) - steps[0] * (1 + random.uniform())
        self._values = np.asarray(values, np.float64)
        self._hold = hold

    @staticmethod
    def count(seconds: float, every: tuple[float, float]) -> int:
        """How many values a spline over these seconds can need."""
        return int(np.ceil(seconds / every[0])) + 4

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """(T, ...) at (T,) seconds."""
        times = np.asarray(times, np.float64)
        right = np.clip(np.searchsorted(self._times, times, "right"), 1, len(self._times) - 1)
        t0, t1 = self._times[right - 1], self._times[right]
        u = (times - t0) / (t1 - t0)
        u = smooth_step((u - self._hold / 2) / (1 - self._hold))
        u = u.reshape(u.shape + (1,) * (self._values.ndim - 1))
        return self._values[right - 1] * (1 - u) + self._values[right] * u
