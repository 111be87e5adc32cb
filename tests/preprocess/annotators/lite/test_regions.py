"""Squares of the frame: affines, crops, and how squares follow from points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from preprocess.annotators.lite.regions import (
    around_box,
    from_circle,
    letterbox,
    rotation_between,
    tiles,
)
from preprocess.annotators.tracked import Region, RegionMask

TURNED = Region(x=50.0, y=40.0, size=20.0, rotation=math.radians(30))


def test_centre_and_corner_are_where_the_rotation_puts_them() -> None:
    placed = Region(50.0, 40.0, 20.0, math.pi / 2).place(np.array([[0.5, 0.5], [0.0, 0.0]]))
    # A quarter turn clockwise on the screen takes the upper left corner to the upper right.
    np.testing.assert_allclose(placed, [[50, 40], [60, 30]], atol=1e-9)


def test_relative_undoes_place() -> None:
    points = np.random.default_rng(0).random((7, 2))
    np.testing.assert_allclose(TURNED.relative(TURNED.place(points)), points, atol=1e-12)


def test_crop_of_an_upright_square_at_its_own_size_copies_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    crop = Region(x=20.0, y=15.0, size=16.0).crop(frame, 16)
    np.testing.assert_array_equal(crop, frame[7:23, 12:28])


def test_outside_the_frame_is_its_edge_or_black() -> None:
    frame = np.full((10, 10, 3), 200, np.uint8)
    outside = Region(x=-20.0, y=5.0, size=8.0)
    assert (outside.crop(frame, 4) == 200).all()
    assert (outside.crop(frame, 4, zeros=True) == 0).all()


def test_rotation_brings_the_vector_to_the_asked_direction() -> None:
    start, end = np.array([10.0, 10.0]), np.array([13.0, 6.0])
    square = Region(10.0, 10.0, 2.0, rotation_between(start, end, upright=90.0))
    (inside,) = square.relative(end[None])
    assert inside[0] == pytest.approx(0.5)
    assert inside[1] < 0.5


def test_circle_reaches_the_middle_of_the_upper_side() -> None:
    square = from_circle(np.array([5.0, 5.0]), np.array([8.0, 1.0]), upright=90.0)
    assert square.size == pytest.approx(10.0)
    np.testing.assert_allclose(square.relative(np.array([[8.0, 1.0]])), [[0.5, 0.0]], atol=1e-12)


def test_box_around_turned_points_is_as_tight_as_the_points() -> None:
    corners = TURNED.place(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    box = around_box(corners, TURNED.rotation, tilted=True)
    assert (box.x, box.y, box.size) == pytest.approx((TURNED.x, TURNED.y, TURNED.size))


def test_growing_moves_along_the_squares_own_axis() -> None:
    moved = Region(0.0, 0.0, 10.0, math.pi / 2).grown(2.0, down=0.1)
    assert (moved.x, moved.y, moved.size) == pytest.approx((-1.0, 0.0, 20.0))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Region(0.0, 0.0, 2.0), 1.0),
        (Region(1.0, 0.0, 2.0), 1 / 3),
        (Region(0.0, 0.0, 1.0), 1 / 4),
        (Region(2.0, 0.0, 2.0), 0.0),
    ],
)
def test_overlap_is_intersection_over_union(other: Region, expected: float) -> None:
    assert Region(0.0, 0.0, 2.0).overlap(other) == pytest.approx(expected)


def test_agreement_counts_turns_across_half_a_circle() -> None:
    one, other = Region(0, 0, 10, math.radians(179)), Region(1, 0, 11, math.radians(-179))
    assert one.near(other, turn=math.radians(3), shift=0.1, scale=0.1)
    assert not one.near(other, turn=math.radians(1), shift=0.1, scale=0.1)


@pytest.mark.parametrize("shape", [(994, 1768), (1920, 1080), (500, 500), (1, 300)])
def test_tiles_cover_the_frame(shape: tuple[int, int]) -> None:
    frame = np.empty((*shape, 3), np.uint8)
    covered = np.zeros(shape, bool)
    for tile in tiles(frame):
        left, top = round(tile.x - tile.size / 2), round(tile.y - tile.size / 2)
        end = round(tile.x + tile.size / 2), round(tile.y + tile.size / 2)
        covered[max(top, 0) : end[1], max(left, 0) : end[0]] = True
    assert covered.all()
    assert letterbox(frame).size == max(shape)


def test_mask_of_a_crop_is_the_crop_of_the_frames_mask() -> None:
    values = np.zeros((256, 256), np.float32)
    values[64:192, 96:160] = 1.0
    mask = RegionMask(values, Region(100.0, 90.0, 128.0))
    whole = mask.warped(np.eye(2, 3), 200, 180)
    part = mask.warped(np.array([[1.0, 0.0, -60.0], [0.0, 1.0, -40.0]]), 80, 100)
    np.testing.assert_allclose(part, whole[40:140, 60:140], atol=1e-6)
    # 128 x 64 of 256 x 256 values, over a square of 128 x 128 pixels.
    assert whole.sum() == pytest.approx(64 * 32, rel=0.02)
    assert whole[90, 100] == 1.0
    assert whole[90, 130] == 0.0
