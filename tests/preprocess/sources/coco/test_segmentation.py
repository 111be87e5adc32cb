"""Segmentations give the masks that COCO's own code gives."""

import numpy as np
import pytest

from preprocess.errors import ClipError
from preprocess.sources.coco import Segmentation, pack_segmentation, run_lengths

RUNS = [5, 3, 3, 5, 2, 2, 18, 1, 24]


def rle_mask(runs, height, width):
    flat = np.concatenate([np.full(n, i % 2 * 255) for i, n in enumerate(runs)])
    return flat.reshape(width, height).T


def test_plain_run_lengths_go_down_the_columns(read):
    mask = pack_segmentation("it", 9, 7, {"counts": RUNS, "size": [7, 9]})
    image = read(mask)
    assert (image.shape, image.dtype) == ((7, 9, 3), np.uint8)
    np.testing.assert_array_equal(image[..., 0], rle_mask(RUNS, 7, 9))
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_compressed_run_lengths():
    # pycocotools 2.0.11 on 40 rows and 50 columns with a box, a bar across it, and one pixel.
    mask = np.zeros((40, 50), np.uint8)
    mask[3:30, 10:33] = mask[12:20, 5:40] = mask[35, 45] = 255
    counts = "d68P10000000Gc0F00000000000000000000000000000000000000000009]O:00000000000o6IUM"
    np.testing.assert_array_equal(rle_mask(run_lengths(counts), 40, 50), mask)


def test_compressed_run_lengths_of_any_mask():
    mask_tools = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(0)
    for height, width in ((7, 9), (64, 33), (200, 300)):
        for share in (0, 0.02, 0.5, 0.99, 1):
            mask = np.asfortranarray((draw.random((height, width)) < share).astype(np.uint8))
            counts = mask_tools.encode(mask)["counts"].decode()
            unrolled = rle_mask(run_lengths(counts), height, width)
            np.testing.assert_array_equal(unrolled, mask * 255)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_polygons_are_as_cocos_to_a_pixel_at_the_edge(read):
    mask_tools = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(1)
    for _ in range(10):
        angles = np.sort(draw.random(24)) * 2 * np.pi
        radii = 30 + 40 * draw.random(24)
        outline = np.stack([90 + radii * np.cos(angles), 100 + radii * np.sin(angles)], 1)
        hand = np.array([[150.2, 10.1], [170.8, 12.4], [160.5, 40.9]])
        polygons = [outline.ravel().tolist(), hand.ravel().tolist()]
        mask = read(pack_segmentation("it", 180, 200, polygons))[..., 0] > 0
        theirs = mask_tools.decode(
            mask_tools.merge(mask_tools.frPyObjects(polygons, 200, 180))
        ).astype(bool)
        assert (mask & theirs).sum() / (mask | theirs).sum() > 0.98


def test_a_square_of_whole_pixels_is_exact(read):
    square = pack_segmentation("it", 8, 6, [[2, 1, 5, 1, 5, 4, 2, 4]])
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:5] = 255
    np.testing.assert_array_equal(read(square)[..., 1], expected)


def test_run_lengths_of_another_size_are_told():
    with pytest.raises(ClipError, match=r"segmentation of a\.jpg covers 5 pixels, not 3x3"):
        next(Segmentation("a.jpg", 3, 3, (), (2, 3)).read((0,)))


@pytest.mark.parametrize("segmentation", [None, [], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], {}, 3])
def test_what_is_no_segmentation_is_refused(segmentation):
    with pytest.raises((ValueError, TypeError, KeyError)):
        pack_segmentation("it", 8, 6, segmentation)
