"""Intervals over videos cover as often as they say; resampled distances are those of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idol.evaluate.bootstrap import (
    ENOUGH,
    frechet_difference,
    frechet_interval,
    mean_interval,
    measured_coverage,
)
from idol.evaluate.errors import EvaluationError
from idol.evaluate.features import VideoRows
from idol.evaluate.frechet import frechet_distance_of


@pytest.mark.parametrize(
    ("shape", "truth"), [("standard_normal", 0), ("standard_exponential", 1), ("random", 0.5)]
)
def test_intervals_of_means_over_thirty_videos_cover(shape: str, truth: float) -> None:
    """95 % within 3 of 400 draws."""
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(400):
        found = mean_interval(getattr(rng, shape)(ENOUGH), samples=600, seed=seed)
        hits += found.low <= truth <= found.high
    assert abs(hits / 400 - 0.95) <= 0.03


@pytest.mark.parametrize("videos", [2, 3, 4])
@pytest.mark.parametrize(("shape", "truth"), [("standard_normal", 0), ("standard_exponential", 1)])
def test_intervals_of_few_values_cover_as_often_as_is_printed_beside_them(
    videos: int, shape: str, truth: float
) -> None:
    rng = np.random.default_rng(100 + videos)
    found = [
        mean_interval(getattr(rng, shape)(videos), samples=600, seed=seed) for seed in range(400)
    ]
    share = np.mean([one.low <= truth <= one.high for one in found])
    least, most = measured_coverage("mean", videos)
    assert found[0].coverage == (least, most)
    assert least - 0.04 <= share <= most + 0.04


def test_frames_of_one_video_are_not_samples() -> None:
    """Weights are counts of frames: repeating each frame leaves the interval as it was."""
    rng = np.random.default_rng(0)
    values, weights = rng.random(40), rng.integers(1, 9, 40)
    found = mean_interval(values, weights=weights)
    assert found.value == pytest.approx(np.average(values, weights=weights))
    again = mean_interval(values, weights=100 * weights)
    assert (again.low, again.high) == pytest.approx((found.low, found.high))
    assert found.low < found.value < found.high


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(12)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)
    moved = mean_interval(10 * values + 3, seed=4)
    assert moved.low == pytest.approx(10 * mean_interval(values, seed=4).low + 3)


def test_few_or_equal_videos() -> None:
    one = mean_interval([2.5])
    assert (one.value, one.low, one.high) == (2.5, None, None)
    same = mean_interval([2.5] * 4)
    assert (same.low, same.high) == (2.5, 2.5)
    two = mean_interval([1, 3])
    assert (two.low, two.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert two.method == "Student's t"
    nearly = mean_interval([0, 0, 0, 0, 5 + 1e-9])
    assert -50 < nearly.low < 1 < nearly.high < 50
    for bad in ([], [1, np.nan], [[1, 2]]):
        with pytest.raises(EvaluationError):
            mean_interval(bad)


def test_few_videos_and_distances_say_how_often_such_intervals_covered() -> None:
    assert mean_interval(np.arange(ENOUGH)).coverage is None
    ten = mean_interval(np.arange(10)).coverage
    assert ten is not None
    assert 0.8 < ten[0] <= ten[1] <= 1
    for videos in (2, 10, 1000):
        for kind in ("frechet", "frechet difference"):
            least, most = measured_coverage(kind, videos)
            assert 0.8 < least <= most <= 1


def test_what_was_simulated_for_more_videos_is_not_said_of_fewer() -> None:
    for kind in ("mean", "frechet", "frechet difference"):
        measured_coverage(kind, 2)  # the fewest that have an interval
        with pytest.raises(ValueError, match="1 video"):
            measured_coverage(kind, 1)


def sides(videos: int, frames: int, features: int, seed: int = 0) -> tuple[VideoRows, VideoRows]:
    rng = np.random.default_rng(seed)
    counts = [frames] * videos
    generated = rng.standard_normal((videos * frames, features)) + 0.5
    reference = rng.standard_normal((videos * frames, features)) + 100
    return VideoRows.of(generated + 100, counts), VideoRows.of(reference, counts)


def test_distances_of_groups_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over videos, drawn together, are the rows of the drawn videos."""
    few = sides(12, 6, 5)
    exact = frechet_interval(*few, samples=20)
    monkeypatch.setattr("idol.evaluate.bootstrap._FEW", 0)
    summed = frechet_interval(*few, samples=20)
    assert exact.value == pytest.approx(frechet_distance_of(few[0].rows, few[1].rows))
    for name in ("value", "low", "high"):
        assert getattr(summed, name) == pytest.approx(getattr(exact, name), rel=1e-6)
    assert (exact.groups, summed.groups, summed.samples) == (None, None, 20)


def test_many_videos_are_resampled_in_groups() -> None:
    many = sides(300, 2, 4)
    found = frechet_interval(*many, samples=30)
    assert found.groups == 64
    assert found.value == pytest.approx(frechet_distance_of(many[0].rows, many[1].rows), rel=1e-6)
    assert found.low < found.value < found.high


def test_fewer_samples_than_asked_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert frechet_interval(*sides(5, 3, 4), samples=5000).samples == 100
    one = frechet_interval(*sides(1, 9, 4))
    assert (one.samples, one.low) == (0, None)
    monkeypatch.setattr("idol.evaluate.bootstrap._WIDE", 3)
    assert frechet_interval(*sides(5, 3, 4), samples=5000).samples == 20


def test_a_difference_is_of_the_same_videos() -> None:
    """A method against itself differs by nothing, in each sample."""
    first = sides(10, 4, 6)
    same = frechet_difference(first, first)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-9)
    worse = VideoRows.of(first[0].rows + 1, [4] * 10)
    found = frechet_difference(first, (worse, first[1]))
    assert found.low > 0
    with pytest.raises(EvaluationError, match="the same videos"):
        frechet_difference(first, sides(9, 4, 6))
    with pytest.raises(EvaluationError, match="one network for both"):
        frechet_interval(first[0], sides(10, 4, 5)[1])


def test_features_on_disk_give_the_same_interval(tmp_path: Path) -> None:
    generated, reference = sides(8, 3, 4)
    generated.rows.astype(np.float32).tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float32, "r", shape=generated.rows.shape)
    found = frechet_interval(VideoRows.of(mapped, [3] * 8), reference)
    assert found.value == pytest.approx(frechet_interval(generated, reference).value, rel=1e-5)
