"""The source's own masks are cut out as its frames are, and nothing is made up."""

import cv2
import numpy as np
import pytest

from preprocess.annotators.scene import Scene
from preprocess.annotators.source.annotator import SourceMask
from preprocess.crop import Crop
from preprocess.errors import ClipError

ANNOTATOR = SourceMask()
FRAME = np.zeros((40, 60, 3), np.uint8)


def scene(*masks, crop=Crop("center", 10, 0, 40, 20)):  # noqa: B008
    return Scene((FRAME,) * len(masks), (), crop, 30.0, masks=masks)


def test_soft_edges_stay():
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 31:] = 255  # in the middle of a column of the clip
    found = ANNOTATOR.masks(scene(mask))
    (cut,) = found.clip
    expected = cv2.resize(mask[:, 10:50], (20, 20), interpolation=cv2.INTER_AREA)
    assert np.array_equal(cut, expected)
    assert set(np.unique(cut)) == {0, 128, 255}
    assert found.boxes == (((31.0, 0.0, 60.0, 40.0),),)  # in the source's pixels


def test_beyond_the_frame_is_nobody():
    whole = Crop("none", 0, -10, 60, 60)
    (cut,) = ANNOTATOR.masks(scene(np.full((40, 60), 255, np.uint8), crop=whole)).clip
    assert not cut[:10].any()
    assert (cut[10:50] == 255).all()
    assert not cut[50:].any()


def test_what_is_missing_or_does_not_fit_is_said():
    with pytest.raises(ClipError, match="no masks for this video"):
        ANNOTATOR.masks(Scene((FRAME,), (), Crop("center", 10, 0, 40, 20), 30.0))
    with pytest.raises(ClipError, match="no mask for one of the frames"):
        ANNOTATOR.masks(scene(np.zeros((40, 60), np.uint8), None))
    with pytest.raises(ClipError, match="a mask of 30x40 for a frame of 60x40"):
        ANNOTATOR.masks(scene(np.zeros((40, 30), np.uint8)))
