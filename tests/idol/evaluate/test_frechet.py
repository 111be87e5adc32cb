"""The Frechet distance: what it must be by its definition, and by scipy's matrix root."""

import numpy as np
import pytest
import scipy.linalg

from idol.evaluate import frechet_distance
from idol.evaluate.errors import EvaluationError
from idol.evaluate.frechet import frechet_distance_of


def covariance(rng: np.random.Generator, size: int, rank: int) -> np.ndarray:
    root = rng.standard_normal((size, rank))
    return root @ root.T / rank


def test_distance_between_diagonal_normals_is_the_sum_over_axes() -> None:
    """In one dimension it is (m1 - m2)^2 + (s1 - s2)^2."""
    deviations_a, deviations_b = np.array([1.0, 2.0, 0.0]), np.array([4.0, 2.0, 3.0])
    found = frechet_distance(
        [0, 1, 2], np.diag(deviations_a**2), [2, 1, 0], np.diag(deviations_b**2)
    )
    assert found == pytest.approx(4 + 0 + 4 + 9 + 0 + 9, rel=1e-12)


@pytest.mark.parametrize("rank", [30, 400])
def test_agrees_with_a_general_matrix_root(rank: int) -> None:
    """scipy's sqrtm of the product, as the published scripts compute it; small ranks too."""
    rng = np.random.default_rng(rank)
    mean_a, mean_b = rng.standard_normal((2, 60))
    cov_a, cov_b = covariance(rng, 60, rank), covariance(rng, 60, rank)
    offset = np.eye(60) * (1e-10 if rank < 60 else 0)
    root = scipy.linalg.sqrtm((cov_a + offset) @ (cov_b + offset)).real
    expected = np.square(mean_a - mean_b).sum() + np.trace(cov_a + cov_b - 2 * root)
    tolerance = 1e-4 if rank < 60 else 1e-7
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b) == pytest.approx(expected, rel=tolerance)


def test_is_symmetric_and_zero_against_itself() -> None:
    rng = np.random.default_rng(2)
    mean_a, mean_b = rng.standard_normal((2, 50))
    cov_a, cov_b = covariance(rng, 50, 20), covariance(rng, 50, 80)
    there = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    assert there == pytest.approx(frechet_distance(mean_b, cov_b, mean_a, cov_a), rel=1e-7)
    assert frechet_distance(mean_a, cov_a, mean_a, cov_a) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(mean_b, cov_b, mean_b, cov_b) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(mean_b, 0 * cov_b, mean_b, cov_b) == pytest.approx(np.trace(cov_b))


@pytest.mark.parametrize("rows", [(12, 9), (12, 90), (90, 70)])
def test_few_rows_give_the_distance_of_their_covariances(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    features_a, features_b = rng.standard_normal((rows[0], 40)), rng.random((rows[1], 40))
    expected = frechet_distance(
        features_a.mean(0), np.cov(features_a.T), features_b.mean(0), np.cov(features_b.T)
    )
    assert frechet_distance_of(features_a, features_b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("mean_b", "cov_b", "message"),
    [
        ([0, 0, 0], np.eye(3), "one network for both"),
        ([0, 0], np.eye(3), "shape"),
        ([0, np.nan], np.eye(2), "not finite"),
        ([0, 0], np.array([[1, 0.5], [0, 1]]), "not symmetric"),
    ],
)
def test_what_is_no_distribution_is_refused(mean_b: list, cov_b: np.ndarray, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        frechet_distance([0, 0], np.eye(2), mean_b, cov_b)


def test_a_negative_variance_is_refused() -> None:
    with pytest.raises(EvaluationError, match="none may be negative"):
        frechet_distance([0, 0], np.diag([1, -1]), [0, 0], np.eye(2))


def test_one_row_has_no_covariance() -> None:
    with pytest.raises(EvaluationError, match="two rows"):
        frechet_distance_of(np.ones((1, 4)), np.ones((3, 4)))
