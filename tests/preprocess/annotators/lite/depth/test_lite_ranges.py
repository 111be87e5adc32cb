"""Metres to the depth of a sample."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.depth import UNKNOWN_RANGE, depth_range, normalize_depth
from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END


def test_near_is_zero_far_is_the_foregrounds_end_background_is_one():
    depth = np.array([[-0.5, 0.0, 0.5, np.nan]], np.float32)
    normal, clamped = normalize_depth(depth, -0.5, 0.5)
    assert normal.dtype == np.float32
    assert normal.tolist() == [[0.0, FOREGROUND_DEPTH_END / 2, FOREGROUND_DEPTH_END, 1.0]]
    assert BACKGROUND_DEPTH == 1.0
    assert clamped == 0


def test_pixels_beyond_the_range_are_clamped_and_counted():
    depth = np.array([-0.7, -0.51, -0.5, 0.2, 0.6, np.nan, np.nan])
    normal, clamped = normalize_depth(depth, -0.5, 0.5)
    assert clamped == 3
    assert normal.min() == 0
    assert normal[4] == FOREGROUND_DEPTH_END
    assert (normal[5:] == 1).all()


def test_no_person_is_all_background():
    normal, clamped = normalize_depth(np.full((2, 4, 4), np.nan, np.float32), -1, 1)
    assert (normal == 1).all()
    assert clamped == 0


def test_foreground_never_leaves_its_interval_whatever_the_rounding():
    rng = np.random.default_rng(0)
    for near, far in rng.uniform(-1, 0, (50, 2)) * [1, -1]:
        depth = np.linspace(near, far, 101).astype(np.float32)
        normal, _ = normalize_depth(depth, near, far)
        assert normal.min() >= 0
        assert normal.max() <= FOREGROUND_DEPTH_END
        assert (np.diff(normal) >= 0).all()


@pytest.mark.parametrize("bounds", [(0.5, 0.5), (1, 0), (np.nan, 1), (0, np.inf)])
def test_an_impossible_range_is_refused(bounds):
    with pytest.raises(ValueError, match="near < far"):
        normalize_depth(np.zeros((2, 2)), *bounds)


def test_the_range_holds_what_was_surveyed_with_a_margin():
    depth = np.linspace(-0.4, 0.6, 1001)
    near, far = depth_range(depth, percentile=0, margin=0.1)
    assert near == pytest.approx(-0.5)
    assert far == pytest.approx(0.7)


def test_a_few_wild_pixels_do_not_stretch_the_range():
    depth = np.linspace(-0.4, 0.6, 10001)
    calm = depth_range(depth)
    depth[:20] = -30
    assert depth_range(depth) == pytest.approx(calm, abs=0.01)


def test_a_flat_person_still_gets_some_depth():
    near, far = depth_range(np.full((4, 8), 0.2))
    assert far - near == pytest.approx(0.3)
    assert (near + far) / 2 == pytest.approx(0.2)


def test_a_video_with_nobody_in_its_survey_has_a_range_all_the_same():
    assert depth_range(np.full((3, 4, 4), np.nan)) == UNKNOWN_RANGE
    assert depth_range(np.empty((0, 4, 4))) == UNKNOWN_RANGE


def test_the_surveys_range_serves_the_whole_clip(bodies):
    for body in bodies:
        near, far = depth_range(body.depth[::5])
        _, clamped = normalize_depth(body.depth, near, far)
        assert clamped < 0.02 * np.isfinite(body.depth).sum(), body.name
