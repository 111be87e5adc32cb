"""`bench/depth_errors.py`: which part of a person's depth is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from bench.depth_errors import errors_of


def body() -> tuple[np.ndarray, np.ndarray]:
    """Depth and person of two frames: 20 by 10 pixels, the farther the lower."""
    person = np.zeros((2, 40, 40), bool)
    person[:, 10:30, 10:20] = True
    slope = np.broadcast_to(np.linspace(0.2, 0.6, 40)[:, None], (40, 40))
    return np.where(person, slope, 1.0).astype(np.float32), person


def test_levels_are_told_from_silhouettes() -> None:
    true, person = body()
    made = true.copy()
    made[0][person[0]] += 0.1
    made[1][person[1]] -= 0.02
    found = errors_of([(made, true, person)])
    assert found["person"] == pytest.approx(((0.1**2 + 0.02**2) / 2) ** 0.5, rel=1e-4)
    assert found["within"] == pytest.approx(found["person"], rel=1e-4)
    assert found["within, a clip's level out"] == pytest.approx(0.06, rel=1e-4)
    assert found["within, a frame's level out"] == pytest.approx(0, abs=1e-6)
    assert found["silhouettes"] == 1
    share = person.mean()
    assert found["all"] == pytest.approx(found["person"] * share**0.5, rel=1e-4)
    assert found["all: the true clip's mean everywhere"] == pytest.approx(true.std(), rel=1e-4)
    guess = true[person].std() * share**0.5
    assert found["all: the person's mean in the true silhouette"] == pytest.approx(guess, rel=1e-4)
    assert found["nobody_made"] == found["nobody_made: share of pixels"] == 0
    # 16 by 6 of 20 by 10 pixels are farther than two from the edge.
    assert found["within: share of pixels"] == pytest.approx(96 / 200)


def test_a_person_made_too_narrow_is_said_to_be() -> None:
    true, person = body()
    made = true.copy()
    made[:, :, 10:12] = 1
    found = errors_of([(made, true, person)])
    assert found["nobody_made: share of pixels"] == pytest.approx(0.2)
    assert found["nobody_made: share of squared errors"] == pytest.approx(1)
    assert found["silhouettes"] == pytest.approx(0.8)
    assert found["edge"] == found["within"] == 0
    flat = true[person] - true[person].mean()
    assert found["the true clip's own mean"] == pytest.approx(np.sqrt((flat**2).mean()), rel=1e-4)
