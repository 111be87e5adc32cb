"""Lite depth against rendered bodies whose true depth is known (fixtures/record_bodies.py)."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.depth import body_motion, lite_depth
from preprocess.annotators.lite.depth.bones import joints_from_blazepose


def error(depth: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute error over the person in cm, relative to the hips, not offset-aligned."""
    return float(100 * np.nanmean(np.abs(depth - truth)))


@pytest.fixture(scope="module")
def noisy_depths(bodies):
    return [lite_depth(body.noisy, body.mask) for body in bodies]


def test_noisy_joints_give_depth_good_to_a_few_centimetres(bodies, noisy_depths):
    # A prototype reached 5.9 cm on bodies like these, where the flat person was 14.3 cm off.
    errors = [error(d, b.depth) for d, b in zip(noisy_depths, bodies, strict=True)]
    flats = [error(np.zeros_like(b.depth), b.depth) for b in bodies]
    assert np.mean(errors) < 4.0
    assert max(errors) < 5.9
    for body, ours, flat in zip(bodies, errors, flats, strict=True):
        assert ours < flat / 2, body.name


def test_exact_joints_leave_only_the_error_of_the_shape(bodies):
    # 3.2 cm: of bodies seen in perspective, thinly clothed, by a method that knows neither.
    errors = [error(lite_depth(b.exact, b.mask, cutoff_hz=None), b.depth) for b in bodies]
    assert np.mean(errors) < 3.4


def test_depth_covers_exactly_the_rendered_person(bodies, noisy_depths):
    for body, depth in zip(bodies, noisy_depths, strict=True):
        assert np.array_equal(np.isnan(depth), np.isnan(body.depth)), body.name


def test_smoothing_and_constant_bones_each_bring_joints_nearer_the_truth(bodies):
    def mean_error(**settings) -> float:
        found = [
            np.abs(
                body_motion(b.noisy, **settings).metres[..., 2]
                - joints_from_blazepose(b.world)[..., 2]
            ).mean()
            for b in bodies
        ]
        return float(np.mean(found))

    both = mean_error()
    assert both < 0.02
    assert both < 0.75 * mean_error(cutoff_hz=None)
    assert both < 0.95 * mean_error(constant_bones=False)


def test_smoothing_takes_away_the_jitter_of_z(bodies):
    for body in bodies:
        truth = joints_from_blazepose(body.world)[..., 2]
        jitter = [
            np.diff(body_motion(body.noisy, **s).metres[..., 2] - truth, axis=0).std()
            for s in ({}, {"cutoff_hz": None})
        ]
        assert jitter[0] < 0.3 * jitter[1], body.name


def test_smoothing_takes_away_the_flicker_of_depth(bodies, noisy_depths):
    for body, smooth in zip(bodies, noisy_depths, strict=True):
        rough = lite_depth(body.noisy, body.mask, cutoff_hz=None)
        flicker = [np.nanmean(np.abs(np.diff(d - body.depth, axis=0))) for d in (smooth, rough)]
        assert flicker[0] < 0.6 * flicker[1], body.name
