"""Intervals over videos, as results carry them; how they are resampled is `bootstrap`'s matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idol.evaluate import bootstrap
from idol.evaluate.features import VideoRows

__all__ = ["frechet_difference", "frechet_interval", "mean_interval"]


def mean_interval(values: np.ndarray, *, samples: int, seed: int) -> dict[str, Any]:
    """The mean over videos, (V,), and its interval; none of one video."""
    return bootstrap.mean_interval(values, samples=samples, seed=seed).as_json()


def frechet_interval(
    generated: np.ndarray,
    reference: np.ndarray,
    generated_counts: Sequence[int],
    reference_counts: Sequence[int],
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """The distance of two sets of rows, and its interval over videos.

    Rows of a video lie together, as many as `counts` say, videos in one order on both sides.
    """
    sides = VideoRows.of(generated, generated_counts), VideoRows.of(reference, reference_counts)
    return bootstrap.frechet_interval(*sides, samples=samples, seed=seed).as_json()


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
    ours, theirs = (
        (
            VideoRows.of(rows["generated"], counts["generated"]),
            VideoRows.of(rows["reference"], counts["reference"]),
        )
        for rows, counts in ((first, first_counts), (other, other_counts))
    )
    return bootstrap.frechet_difference(ours, theirs, samples=samples, seed=seed).as_json()
