"""Intervals over videos, as results carry them; how they are resampled is `bootstrap`'s matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idol.evaluate.frechet import frechet_distance_of

__all__ = ["FRECHET_SAMPLES", "frechet_difference", "frechet_interval", "mean_interval"]

FRECHET_SAMPLES = 100
"""At most so many samples of a Frechet distance: each is a decomposition of all rows."""

_LEVEL = (2.5, 97.5)


def mean_interval(values: np.ndarray, *, samples: int, seed: int) -> dict[str, Any]:
    """The mean over videos, (V,), and its 95 % percentile interval; none of one video."""
    rng = np.random.default_rng(seed)
    count = len(values)
    found: dict[str, Any] = {"value": float(values.mean()), "videos": count}
    if count < 2:
        return found | {"low": None, "high": None, "samples": 0}
    means = values[rng.integers(0, count, (samples, count))].mean(1)
    low, high = np.percentile(means, _LEVEL)
    return found | {"low": float(low), "high": float(high), "samples": samples}


def frechet_interval(
    generated: np.ndarray,
    reference: np.ndarray,
    generated_counts: Sequence[int],
    reference_counts: Sequence[int],
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """The distance of two sets of rows, and the interval of those of resampled videos.

    Rows of a video lie together, as many as `counts` say, videos in one order on both sides.
    """
    value = frechet_distance_of(generated, reference)
    replicates = [
        frechet_distance_of(generated[a], reference[b])
        for a, b in _resampled(generated_counts, reference_counts, samples, seed)
    ]
    return _of_replicates(value, replicates, len(reference_counts))


def frechet_difference(
    first: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    first_counts: Mapping[str, Sequence[int]],
    other_counts: Mapping[str, Sequence[int]],
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """The other result's distance minus the first's, of the same resampled videos.

    Arrays and counts by side, generated and reference.
    """

    def distances(arrays: Mapping[str, np.ndarray], counts: Mapping[str, Sequence[int]]) -> Any:
        ours, truth = arrays["generated"], arrays["reference"]
        yield frechet_distance_of(ours, truth)
        for a, b in _resampled(counts["generated"], counts["reference"], samples, seed):
            yield frechet_distance_of(ours[a], truth[b])

    pairs = zip(distances(first, first_counts), distances(other, other_counts), strict=True)
    value, *replicates = [theirs - ours for ours, theirs in pairs]
    return _of_replicates(value, replicates, len(first_counts["reference"]))


def _resampled(ours: Sequence[int], truth: Sequence[int], samples: int, seed: int) -> Any:
    """Of each sample of videos, the rows on both sides; those with fewer than two are passed
    over. The videos drawn depend on the seed and their number alone."""
    rng = np.random.default_rng(seed)
    ends = [np.concatenate([[0], np.cumsum(counts)]) for counts in (ours, truth)]
    videos = len(truth)
    if videos < 2:
        return
    for _ in range(min(samples, FRECHET_SAMPLES)):
        drawn = rng.integers(0, videos, videos)
        rows = [np.concatenate([np.arange(e[v], e[v + 1]) for v in drawn]) for e in ends]
        if min(map(len, rows)) >= 2:
            yield rows


def _of_replicates(value: float, replicates: Sequence[float], videos: int) -> dict[str, Any]:
    found: dict[str, Any] = {"value": float(value), "videos": videos, "samples": len(replicates)}
    if len(replicates) < 2:
        return found | {"low": None, "high": None}
    low, high = np.percentile(replicates, _LEVEL)
    return found | {"low": float(low), "high": float(high)}
