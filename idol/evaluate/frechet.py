"""The Frechet distance between two normal distributions, which FID, FVD and FID-FVD are made of."""

import numpy as np
from numpy.typing import ArrayLike

from idol.evaluate.errors import EvaluationError

__all__ = ["frechet_distance", "frechet_distance_of"]

Array = np.ndarray


def frechet_distance(
    mean_a: ArrayLike, cov_a: ArrayLike, mean_b: ArrayLike, cov_b: ArrayLike
) -> float:
    """|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)).

    The trace of the root is that of (R cov_b R)^(1/2), R being the symmetric square root of cov_a:
    both are symmetric, so an eigen-decomposition is exact where a general matrix root needs a
    small number on the diagonal and leaves imaginary parts. What rounding makes negative is 0.

    Args:
        mean_a: (D,), in any unit u.
        cov_a: (D, D), symmetric and positive semi-definite, in u^2; it may be singular.
        mean_b: as `mean_a`.
        cov_b: as `cov_a`.

    Returns:
        The distance, 0 or more, in u^2.

    Raises:
        EvaluationError: shapes that do not belong together, values that are not finite, or a matrix
            that is no covariance.
    """
    mean_a, mean_b = (np.asarray(mean, np.float64) for mean in (mean_a, mean_b))
    cov_a, cov_b = (np.asarray(cov, np.float64) for cov in (cov_a, cov_b))
    for name, mean, cov in (("first", mean_a, cov_a), ("second", mean_b, cov_b)):
        _check(name, mean, cov)
    if mean_a.shape != mean_b.shape:
        raise EvaluationError(
            f"features of {len(mean_a)} and {len(mean_b)} values cannot be compared: use one "
            "network for both sides"
        )
    factor = _factor(cov_a)
    product = factor.T @ cov_b @ factor
    roots = np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2), 0, None))
    between = mean_a - mean_b
    distance = between @ between + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return max(float(distance), 0.0)


def frechet_distance_of(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """`frechet_distance` of the means and (N - 1) covariances of features, (N, D) and (M, D).

    Where both are fewer than D their covariances are never formed: the trace of the root is the
    sum of the singular values of A B^T, A and B being the centred features over sqrt(N - 1).

    Raises EvaluationError as `frechet_distance`, and for fewer than two rows.
    """
    rows_a, rows_b = (np.asarray(features, np.float64) for features in (features_a, features_b))
    for rows in (rows_a, rows_b):
        if rows.ndim != 2 or len(rows) < 2:
            raise EvaluationError(
                f"a covariance needs two rows of features or more; got an array of {rows.shape}"
            )
    mean_a, mean_b = rows_a.mean(0), rows_b.mean(0)
    centred_a = (rows_a - mean_a) / np.sqrt(len(rows_a) - 1)
    centred_b = (rows_b - mean_b) / np.sqrt(len(rows_b) - 1)
    if max(len(rows_a), len(rows_b)) >= mean_a.size or mean_a.shape != mean_b.shape:
        cov_a, cov_b = centred_a.T @ centred_a, centred_b.T @ centred_b
        return frechet_distance(mean_a, cov_a, mean_b, cov_b)
    if not (np.isfinite(centred_a).all() and np.isfinite(centred_b).all()):
        raise EvaluationError("features are not finite: see which video made them")
    roots = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    between = mean_a - mean_b
    spread = np.square(centred_a).sum() + np.square(centred_b).sum()
    return max(float(between @ between + spread - 2 * roots), 0.0)


def _factor(cov: Array) -> Array:
    """(D, rank) F with F F^T = cov: what of the symmetric root R = V sqrt(w) V^T does not vanish.

    (R cov_b R) and (F^T cov_b F) have the same eigenvalues but for zeros.
    """
    values, vectors = np.linalg.eigh(cov)
    largest = values[-1] if len(values) else 0.0
    floor = largest * len(values) * np.finfo(np.float64).eps
    if len(values) and values[0] < -1e-4 * max(largest, abs(values[0])):
        raise EvaluationError(
            f"a covariance has the eigenvalue {values[0]:.3g} beside {largest:.3g}; none may be "
            "negative"
        )
    kept = values > floor
    return vectors[:, kept] * np.sqrt(values[kept])


def _check(name: str, mean: Array, cov: Array) -> None:
    if mean.ndim != 1 or cov.shape != (mean.size, mean.size):
        raise EvaluationError(
            f"the {name} mean has shape {mean.shape} and its covariance {cov.shape}; expected (D,) "
            "and (D, D)"
        )
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        raise EvaluationError(
            f"the {name} mean or covariance is not finite: a covariance needs two samples or more"
        )
    if not np.allclose(cov, cov.T, rtol=1e-6, atol=1e-6 * max(float(np.abs(cov).max()), 1e-300)):
        raise EvaluationError(f"the {name} covariance is not symmetric")
