"""Peaks are those of the whole enlarged map, of which most is never computed."""

import cv2
import numpy as np
import pytest
import torch

from preprocess.annotators.openpose.enlarger import Enlarger, enlarger
from preprocess.annotators.openpose.peaks import peaks_of

LEAST = 0.1
ROUNDING = 1e-5  # what two ways to compute the same pixel may differ by

# Cells of the map, what of them enlarged is the image, the image's size: reduced, as it is,
# enlarged by more than a cell's eight steps, of few pixels.
SIZES = (
    ((23, 41), (184, 327), (300, 533)),
    ((23, 13), (184, 103), (1900, 1064)),
    ((23, 23), (184, 184), (184, 184)),
    ((23, 41), (184, 327), (994, 1768)),
    ((2, 3), (9, 20), (7, 31)),
    ((1, 1), (8, 8), (1, 1)),
)


def around(values: np.ndarray) -> np.ndarray:
    """The largest of the four pixels around each one, of (C, H, W); zeros beyond the image."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    sides = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    return np.maximum.reduce(sides)


def whole(maps: np.ndarray, to_image: Enlarger, *, smooth: bool) -> np.ndarray:
    parts = (to_image.smooth_rows, to_image.smooth_columns) if smooth else (
        to_image.rows, to_image.columns
    )  # fmt: skip
    rows, columns = (matrix.astype(np.float64) for matrix in parts)
    enlarged: np.ndarray = rows @ maps.astype(np.float64) @ columns.T
    return enlarged


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size[2])))
@pytest.mark.parametrize("roughness", [0.0, 1.2, 3.0])
def test_peaks_are_those_of_the_whole_enlarged_map(size, roughness):
    rng = np.random.default_rng(5)
    maps = rng.normal(size=(3, *size[0])).astype(np.float32)
    if roughness:
        maps = np.stack([cv2.GaussianBlur(one, (0, 0), roughness) * 2 for one in maps])
    maps[2] -= 9  # nothing in it is high enough
    to_image = enlarger(*size)
    found = peaks_of(torch.from_numpy(maps), to_image, LEAST)

    smooth, values = whole(maps, to_image, smooth=True), whole(maps, to_image, smooth=False)
    above = np.minimum(smooth - around(smooth), smooth - LEAST)
    assert len(found) == 3
    for joint, peaks in enumerate(found):
        x, y = peaks[:, 0].astype(int), peaks[:, 1].astype(int)
        np.testing.assert_array_equal(np.lexsort((x, y)), np.arange(len(peaks)))
        there = np.zeros(smooth.shape[1:], bool)
        there[y, x] = True
        assert there.sum() == len(peaks)
        assert (above[joint][there] > -ROUNDING).all()
        assert there[above[joint] > ROUNDING].all()
        np.testing.assert_allclose(peaks[:, 2], values[joint, y, x], atol=1e-4)
    assert len(found[2]) == 0
    if size[0][0] > 2:
        assert min(len(found[0]), len(found[1])) > 1


def test_peaks_at_the_edges_are_found():
    """A map that falls from each of its edges: beyond the image there is nothing."""
    size = ((23, 23), (184, 184), (250, 250))
    slope = np.linspace(1, 0, 23, dtype=np.float32)
    column, row = np.tile(slope, (23, 1)), np.tile(slope[:, None], (1, 23))
    corners = np.stack(
        [np.minimum(a, b) for a in (row, row[::-1]) for b in (column, column[:, ::-1])]
    )
    corners += 0.01 * (row + column)  # so that none is level
    found = peaks_of(torch.from_numpy(corners.copy()), enlarger(*size), LEAST)
    for peaks, x, y in zip(found, (0, 249, 0, 249), (0, 0, 249, 249), strict=True):
        assert [x, y] in peaks[:, :2].tolist()


def test_nothing_is_found_where_nothing_is():
    found = peaks_of(torch.zeros(18, 23, 23), enlarger((23, 23), (184, 184), (64, 64)), LEAST)
    assert [len(peaks) for peaks in found] == [0] * 18


def test_no_weight_is_so_small_that_products_are_denormal():
    to_image = enlarger((23, 41), (184, 327), (1080, 1920))
    for matrix in vars(to_image).values():
        assert np.abs(matrix[matrix != 0]).min() >= 1e-9
