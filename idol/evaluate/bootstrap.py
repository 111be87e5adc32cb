"""Intervals over videos: what a number would have been with other videos of the same kind.

Videos are resampled, never frames or snippets, which are not independent. Of a mean the interval
is a bootstrap-t; of two videos, which too few resamples can be drawn of, Student's. A Frechet
distance is biased upward by few videos, and resampled ones, some of them twice, bias it further, so
that quantiles of resampled distances lie beside it: its interval is the value plus and minus
Student's quantile times their deviation, and speaks of the distance that is expected at this number
of videos, not of the limit of many.
`coverage.json` beside this file has how often such intervals covered in simulations
(`bench/coverage.py` measures it); what is printed beside an interval is read from there.
"""

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from idol.evaluate.errors import EvaluationError
from idol.evaluate.features import VideoRows
from idol.evaluate.frechet import frechet_distance, frechet_distance_of

__all__ = [
    "ENOUGH",
    "FRECHET_SAMPLES",
    "Interval",
    "frechet_difference",
    "frechet_interval",
    "mean_interval",
    "measured_coverage",
]

LEVEL = 0.95
ENOUGH = 30
"""From so many videos on, intervals of means cover as often as they say."""
FRECHET_SAMPLES = 100
"""At most so many resampled Frechet distances: each is a decomposition of all features. A fifth of
them where more than 512 features are of more than 512 rows."""

# Where a decomposition is of more rows and columns than this, it takes so long that fewer samples
# have to do.
_WIDE = 512
_WIDE_SAMPLES = 20

# Of more videos than this, groups of videos are resampled where their moments are summed up first.
_GROUPS = 64
# Up to so many rows a decomposition of the rows is as fast as one of the features.
_FEW = 400

Method = Literal["bootstrap-t", "bootstrap error", "Student's t"]


@dataclass(frozen=True)
class Interval:
    """A number with an interval of 95 %.

    Attributes:
        value: the number itself.
        low: None, as `high`, where one video is all there is.
        high: the upper end.
        videos: that were resampled.
        samples: how many times; 0 where none were needed.
        method: how the interval comes of the samples, or of two values without any.
        coverage: the share of intervals of this kind that covered the truth in simulations,
            lowest and highest; None for means over `ENOUGH` videos, where it is 0.95 within 0.03.
        groups: of videos, resampled as wholes; None where each video was by itself.
    """

    value: float
    low: float | None
    high: float | None
    videos: int
    samples: int
    method: Method
    coverage: tuple[float, float] | None = None
    groups: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values by the names of the attributes."""
        return asdict(self)


def mean_interval(
    values: ArrayLike, *, samples: int = 2000, seed: int = 0, weights: ArrayLike | None = None
) -> Interval:
    """The mean over videos, and its bootstrap-t interval; Student's of two videos.

    Each sample's deviation from the mean is divided by the sample's own standard error, so that
    skewed values have a skewed interval. The standard error of a sample is averaged with a part of
    the whole's: few values, some of them alike, would otherwise divide by nearly nothing. Of two
    values only three samples differ, which reach 1.4 standard errors where 12.7 are needed.

    Args:
        values: (V,), one a video: of differences between two methods this is a paired interval.
        samples: of videos with replacement.
        seed: of the samples; they depend on it and V alone.
        weights: (V,), 0 or more, such as counts of frames: the number is sum(w v) / sum(w).

    Raises EvaluationError for no values, or values that are not finite.
    """
    v = np.asarray(values, np.float64)
    w = np.ones_like(v) if weights is None else np.asarray(weights, np.float64)
    if v.ndim != 1 or v.shape != w.shape or not len(v) or not w.sum() > 0:
        raise EvaluationError(f"an interval needs one value a video; got {v.shape} and {w.shape}")
    if not np.isfinite(v).all():
        bad = int(np.flatnonzero(~np.isfinite(v))[0])
        raise EvaluationError(f"the value of video {bad} is not finite")
    w = w / w.mean()
    videos = len(v)
    value, error = _ratio(v[None], w[None])
    if videos < 2:
        return Interval(float(value[0]), None, None, videos, 0, "bootstrap-t")
    if error[0] == 0:
        return Interval(float(value[0]), float(value[0]), float(value[0]), videos, 0, "bootstrap-t")
    coverage = measured_coverage("mean", videos)
    if videos == 2:
        reach = _student(1) * float(error[0])
        low, high = float(value[0]) - reach, float(value[0]) + reach
        return Interval(float(value[0]), low, high, videos, 0, "Student's t", coverage)
    rng = np.random.default_rng(seed)
    deviations = np.empty(samples)
    for start in range(0, samples, 500):
        drawn = rng.integers(0, videos, (min(500, samples - start), videos))
        means, errors = _ratio(v[drawn], w[drawn])
        errors = np.sqrt(((videos - 1) * errors**2 + error**2) / videos)
        deviations[start : start + len(drawn)] = (means - value) / errors
    upper, lower = np.quantile(deviations, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(
        float(value[0]),
        float(value[0] - lower * error[0]),
        float(value[0] - upper * error[0]),
        videos,
        samples,
        "bootstrap-t",
        coverage,
    )


def frechet_interval(
    generated: VideoRows,
    reference: VideoRows,
    *,
    samples: int = FRECHET_SAMPLES,
    seed: int = 0,
) -> Interval:
    """The Frechet distance of two sets of features, and its interval over videos, from 0 up.

    Where both sides have equally many videos, video n of one belongs to video n of the other, and
    the two are drawn together; else each side is drawn for itself.

    Args:
        generated: features by video.
        reference: features by video.
        samples: of videos with replacement; `FRECHET_SAMPLES` at the most.
        seed: of the samples; they depend on it and the numbers of videos alone.

    Raises EvaluationError as `frechet_distance`.
    """
    found = _frechet(generated, reference, samples, seed)
    videos = min(generated.videos, reference.videos)
    value, drawn = found.value, found.drawn[np.isfinite(found.drawn)]
    if len(drawn) < 2:
        return Interval(value, None, None, videos, 0, "bootstrap error", None, found.groups)
    reach = float(_student(found.units - 1) * drawn.std(ddof=1))
    return Interval(
        value,
        max(value - reach, 0.0),
        value + reach,
        videos,
        len(drawn),
        "bootstrap error",
        measured_coverage("frechet", videos),
        found.groups,
    )


def frechet_difference(
    first: tuple[VideoRows, VideoRows],
    other: tuple[VideoRows, VideoRows],
    *,
    samples: int = FRECHET_SAMPLES,
    seed: int = 0,
) -> Interval:
    """The other's Frechet distance minus the first's, both of the same resampled videos.

    The interval is the difference plus and minus Student's quantile times the deviation of
    resampled differences.

    Args:
        first: generated and reference features of a method.
        other: of another method on the same videos, in the same order.
        samples: as for `frechet_interval`.
        seed: as for `frechet_interval`.

    Raises EvaluationError as `frechet_interval`, and for other numbers of videos.
    """
    numbers = [[side.videos for side in sides] for sides in (first, other)]
    if numbers[0] != numbers[1]:
        raise EvaluationError(
            f"a paired difference needs the same videos; there are {numbers[0]} and {numbers[1]}, "
            "generated and reference"
        )
    ours, theirs = (_frechet(*sides, samples, seed) for sides in (first, other))
    value, videos = theirs.value - ours.value, min(numbers[0])
    if ours.groups != theirs.groups:
        raise EvaluationError("a paired difference needs as many rows of features on both sides")
    drawn = theirs.drawn - ours.drawn
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return Interval(value, None, None, videos, 0, "bootstrap error", None, ours.groups)
    reach = float(_student(ours.units - 1) * drawn.std(ddof=1))
    return Interval(
        value,
        value - reach,
        value + reach,
        videos,
        len(drawn),
        "bootstrap error",
        measured_coverage("frechet difference", videos),
        ours.groups,
    )


@cache
def measured_coverage(kind: str, videos: int) -> tuple[float, float] | None:
    """How often intervals of a kind covered the truth in simulations: the lowest and the highest
    share over what was simulated, at the largest simulated number of videos up to `videos`.

    None for means over `ENOUGH` videos and more, which cover in 0.95 +- 0.03.

    Args:
        kind: "mean", "frechet" or "frechet difference".
        videos: that were resampled.

    Raises ValueError for fewer than were simulated: two, since one has no interval.
    """
    if kind == "mean" and videos >= ENOUGH:
        return None
    text = resources.files("idol.evaluate").joinpath("coverage.json").read_text(encoding="utf-8")
    measured = {int(number): shares for number, shares in json.loads(text)["shares"][kind].items()}
    known = [number for number in measured if number <= videos]
    if not known:
        raise ValueError(f"intervals of {videos} video(s) were not simulated: bench/coverage.py")
    shares = measured[max(known)].values()
    return min(shares), max(shares)


def _ratio(v_NV: np.ndarray, w_NV: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the weighted mean, and its standard error by linearisation; (N,) each."""
    total = np.maximum(w_NV.sum(1), np.finfo(float).tiny)
    means = (v_NV * w_NV).sum(1) / total
    rest = w_NV * (v_NV - means[:, None])
    count = v_NV.shape[1]
    errors = np.sqrt(np.square(rest).sum(1) * count / max(count - 1, 1)) / total
    return means, errors


def _student(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


@dataclass(frozen=True, eq=False)
class _Resampled:
    """A distance, resampled ones, and what was resampled: `units` videos, or groups of them."""

    value: float
    drawn: np.ndarray  # NaN where the videos drawn have fewer than two rows
    units: int
    groups: int | None


def _frechet(generated: VideoRows, reference: VideoRows, samples: int, seed: int) -> _Resampled:
    sides = (generated, reference)
    if generated.features != reference.features:
        raise EvaluationError(
            f"features of {generated.features} and {reference.features} values cannot be "
            "compared: use one network for both sides"
        )
    for name, side in (("generated", generated), ("reference", reference)):
        if side.count < 2:
            raise EvaluationError(
                f"a Frechet distance needs two rows of features or more; the {name} side has "
                f"{side.count}"
            )
    wide = min(generated.features, max(side.count for side in sides)) > _WIDE
    samples = min(samples, _WIDE_SAMPLES if wide else FRECHET_SAMPLES)
    if max(side.count for side in sides) <= max(generated.features, _FEW):
        return _by_rows(sides, samples, seed)
    return _by_groups(sides, samples, seed)


def _by_rows(sides: tuple[VideoRows, VideoRows], samples: int, seed: int) -> _Resampled:
    """From the rows of the drawn videos: exact, and fast while rows are few."""
    everything = [side.read(range(side.videos)).astype(np.float64) for side in sides]
    value = frechet_distance_of(*everything)
    held = [
        VideoRows.of(rows, side.spans[:, 1] - side.spans[:, 0])
        for rows, side in zip(everything, sides, strict=True)
    ]
    drawn = []
    for videos in _draws([side.videos for side in sides], samples, seed):
        rows = [side.read(chosen) for side, chosen in zip(held, videos, strict=True)]
        few = min(map(len, rows)) < 2
        drawn.append(math.nan if few else frechet_distance_of(*rows))
    return _Resampled(value, np.array(drawn), min(side.videos for side in sides), None)


def _by_groups(sides: tuple[VideoRows, VideoRows], samples: int, seed: int) -> _Resampled:
    """From sums over each video, or over each of 64 groups of videos: one pass over the rows.

    The sums lie in a temporary file; a drawn covariance is a weighted sum of them.
    """
    many = max(side.videos for side in sides) > _GROUPS
    with tempfile.TemporaryDirectory(prefix="idol-bootstrap-") as folder:
        sums = [
            _GroupSums(side, Path(folder) / str(number), _GROUPS if many else side.videos)
            for number, side in enumerate(sides)
        ]
        value = _distance([s.moments(np.ones(s.groups)) for s in sums])
        drawn = []
        for groups in _draws([s.groups for s in sums], samples, seed):
            weights = [
                np.bincount(g, minlength=s.groups) for g, s in zip(groups, sums, strict=True)
            ]
            drawn.append(_distance([s.moments(w) for s, w in zip(sums, weights, strict=True)]))
    units = min(s.groups for s in sums)
    return _Resampled(value, np.array(drawn), units, units if many else None)


def _distance(moments: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    (mean_a, cov_a), (mean_b, cov_b) = moments
    return frechet_distance(mean_a, cov_a, mean_b, cov_b)


class _GroupSums:
    """Counts, sums and sums of outer products of the rows of each group of videos.

    Video v is of group v modulo their number, on both sides alike.
    """

    def __init__(self, side: VideoRows, file: Path, groups: int) -> None:
        self.groups = min(groups, side.videos)
        self._file, self._size = file, side.features
        self._counts = np.zeros(self.groups)
        self._sums = np.zeros((self.groups, self._size))
        # About a mean of some rows, so that a large one costs no digits.
        self._centre = next(side.blocks()).mean(0, dtype=np.float64)
        with file.open("wb") as opened:
            for group in range(self.groups):
                products = np.zeros((self._size, self._size))
                for block in side.blocks(range(group, side.videos, self.groups)):
                    rows = block - self._centre
                    self._counts[group] += len(rows)
                    self._sums[group] += rows.sum(0)
                    products += rows.T @ rows
                opened.write(products.tobytes())

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the rows, those of each group counted so many times."""
        products = np.zeros((self._size, self._size))
        width = self._size * self._size
        for group in np.flatnonzero(weights):
            read = np.fromfile(self._file, np.float64, width, offset=8 * width * int(group))
            read *= weights[group]
            products += read.reshape(self._size, self._size)
        count = weights @ self._counts
        if count < 2:
            raise EvaluationError("a covariance needs two rows of features or more")
        mean = weights @ self._sums / count
        products -= np.outer(mean * count, mean)
        products /= count - 1
        return mean + self._centre, products


def _draws(numbers: Sequence[int], samples: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Of each side with so many units, as many drawn with replacement; together where equal."""
    rng = np.random.default_rng(seed)
    if min(numbers) < 2:
        return
    for _ in range(samples):
        first = rng.integers(0, numbers[0], numbers[0])
        second = first if numbers[1] == numbers[0] else rng.integers(0, numbers[1], numbers[1])
        yield [first, second]
