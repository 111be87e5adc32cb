"""The filter of the alignment points."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.lite.regions import Steadier

START = np.array([[100.0, 100.0], [100.0, 50.0]])


def test_points_at_rest_stay() -> None:
    steadier = Steadier.begin(START)
    for _ in range(5):
        steadier = steadier.step(START)
    np.testing.assert_array_equal(steadier.filtered, START)


def test_trembling_is_damped_and_walking_is_followed() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, (60, 2, 2))
    trembling = walking = Steadier.begin(START)
    filtered = []
    for frame in range(60):
        trembling = trembling.step(START + noise[frame])
        walking = walking.step(START + np.array([3.0 * frame, 0.0]))
        filtered.append(trembling.filtered)
    assert np.diff(filtered, axis=0).std() < 0.3 * np.diff(noise, axis=0).std()
    # Three pixels a frame of a body of 100 pixels: the lag stays within a tenth of the body.
    assert np.abs(walking.filtered - walking.raw).max() < 10.0
