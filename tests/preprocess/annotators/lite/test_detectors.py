"""Anchors, and the merging of boxes that see one thing."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.detectors import (
    FACE,
    PALM,
    PERSON,
    DetectorForm,
    _merge,
    make_anchors,
)


@pytest.mark.parametrize(
    ("form", "side", "count"), [(PERSON, 224, 2254), (PALM, 192, 2016), (FACE, 128, 896)]
)
def test_there_is_an_anchor_for_each_row_of_the_output(
    form: DetectorForm, side: int, count: int
) -> None:
    assert make_anchors(side, form.grids).shape == (count, 2)


def test_anchors_are_centres_of_cells_row_by_row() -> None:
    anchors = make_anchors(16, ((8, 2),))
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    np.testing.assert_allclose(anchors, np.repeat(expected, 2, axis=0))


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float64).reshape(-1, 2, 2)


def test_boxes_over_each_other_are_averaged_by_score() -> None:
    merged = _merge(
        boxes((0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60)), np.array([0.6, 0.9, 0.7])
    )
    assert [score for _, score in merged] == [0.9, 0.7]
    np.testing.assert_allclose(merged[0][0], [[1.2, 0], [11.2, 10]])
    np.testing.assert_allclose(merged[1][0], [[50, 50], [60, 60]])


def test_boxes_without_an_area_are_each_their_own() -> None:
    assert len(_merge(boxes((1, 1, 1, 1), (1, 1, 1, 1)), np.array([0.5, 0.6]))) == 2


def test_nothing_merges_to_nothing() -> None:
    assert _merge(np.empty((0, 6, 2)), np.empty(0)) == []
