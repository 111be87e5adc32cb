"""Random numbers that are functions of what they are for, not of who drew before.

No generator is carried along, so there is no state to save: a draw is a hash of its key, such as
(seed, "frames", source, epoch, index). Hashes, unlike the streams of numpy's generators, are the
same in every version of every library.
"""

import hashlib

import numpy as np

__all__ = ["Draws", "permutation"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """Successive draws for one purpose; equal keys give equal draws."""

    def __init__(self, *key: int | str) -> None:
        self._key = repr(key).encode()
        self._count = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((self._bits() >> 11) / 2**53)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        # 64 bits: for ranges of at most millions the bias is below one in 10^12.
        return low + self._bits() % (high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with a probability in [0, 1]."""
        return self.uniform() < probability

    def _bits(self) -> int:
        self._count += 1
        return _hash(self._key + self._count.to_bytes(4, "little"))


def permutation(n: int, *key: int | str) -> np.ndarray:
    """(n,) int64: 0 to n - 1 shuffled, the same for equal keys."""
    # SplitMix64 of a keyed counter, sorted: ties, one in 2^64 pairs, keep their order.
    x = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN + np.uint64(_hash(repr(key).encode()))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(x ^ (x >> np.uint64(31)), kind="stable")


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
