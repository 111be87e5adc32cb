"""Moments of a stream are those of the whole, however it was cut."""

from pathlib import Path

import numpy as np
import pytest

from idol.evaluate.errors import EvaluationError
from idol.evaluate.frechet import frechet_distance_of
from idol.evaluate.moments import Moments


@pytest.fixture
def features() -> np.ndarray:
    """A mean that is far from 0, which naive sums of squares do not survive."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((5000, 16)) @ rng.standard_normal((16, 16)) + 1e5).astype("f4")


@pytest.mark.parametrize("cuts", [[], [1], [2500], [1, 2, 4999], [7, 7, 3000]])
def test_parts_merged_are_the_whole(features: np.ndarray, cuts: list[int]) -> None:
    whole = features.astype(np.float64)
    merged = Moments(16)
    for part in np.split(features, cuts):
        merged.merge(Moments.of(part))
    assert merged.count == 5000
    assert merged.mean == pytest.approx(whole.mean(0), rel=1e-13)
    assert merged.covariance == pytest.approx(np.cov(whole.T), rel=1e-9, abs=1e-9)


def test_rows_added_a_few_at_a_time_count_as_all_at_once(features: np.ndarray) -> None:
    some = Moments(16)
    for start in range(0, len(features), 37):
        some.add(features[start : start + 37])
    assert some.covariance == pytest.approx(Moments.of(features).covariance, rel=1e-9, abs=1e-9)


def test_distance_is_that_of_the_rows(features: np.ndarray) -> None:
    other = features[:1000] * 1.5
    distance = Moments.of(features).distance(Moments.of(other))
    assert distance == pytest.approx(frechet_distance_of(features, other), rel=1e-9)
    assert Moments.of(features).distance(Moments.of(features)) == pytest.approx(0, abs=1e-4)


def test_saved_moments_can_be_added_to(features: np.ndarray, tmp_path: Path) -> None:
    Moments.of(features[:3000]).save(tmp_path / "half.npz")
    moments = Moments.load(tmp_path / "half.npz")
    moments.add(features[3000:])
    assert moments.covariance == pytest.approx(Moments.of(features).covariance, rel=1e-9, abs=1e-9)


def test_other_files_and_features_are_refused(features: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(EvaluationError, match=r"bad\.npz"):
        Moments.load(tmp_path / "bad.npz")
    moments = Moments.of(features)
    with pytest.raises(EvaluationError, match="expected"):
        moments.add(features[:, :8])
    with pytest.raises(EvaluationError, match="cannot be merged"):
        moments.merge(Moments(8))
    spoilt = features.copy()
    spoilt[4321, 3] = np.inf
    with pytest.raises(EvaluationError, match="row 4321"):
        moments.add(spoilt)
    with pytest.raises(EvaluationError, match="two rows"):
        _ = Moments.of(features[:1]).covariance
