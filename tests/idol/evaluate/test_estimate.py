"""Annotators look at small frames enlarged, and give back pixels of the frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.annotate.estimate import estimator
from idol.evaluate.container import read_video
from idol.evaluate.errors import EvaluationError
from idol.evaluate.pose import pose_error
from shards import open_dataset

_PEOPLE = Path(__file__).parents[3] / "examples/people-128.tar"


@pytest.mark.slow
def test_key_points_of_small_frames_are_those_of_large_ones(
    footage: Callable[[str], Path],
) -> None:
    large = read_video(footage("cam01.mp4"))[:4, 300:1380]
    annotators = estimator("lite", "lite", root=None, device="cpu")
    found = []
    for side in (512, 128):
        frames = np.stack(
            [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in large]
        )
        one = annotators("cam01", frames)
        assert one.keypoints is not None
        assert one.depth is not None
        assert one.depth.shape == (4, side, side)
        assert one.depth.min() < 0.75
        body = one.keypoints[:, 0, :18]
        assert (body[..., 2] > 0.3).mean() > 0.8
        found.append(body[..., :2] / side)
    assert np.median(np.linalg.norm(found[0] - found[1], axis=-1)) < 0.02


@pytest.mark.parametrize("beside", [(0, 70), (70, 0)])
def test_what_is_found_in_frames_that_are_not_square_is_where_it_is(
    beside: tuple[int, int],
) -> None:
    """(down, right): how much of nothing lies beside a person of the examples."""
    clip = next(open_dataset(_PEOPLE).clips(modalities=["keypoints"]))
    down, right = beside
    grey = cv2.BORDER_CONSTANT
    sides = (down // 5, down - down // 5, right // 5, right - right // 5)
    frames = np.stack(
        [cv2.copyMakeBorder(f, *sides, grey, value=(90, 90, 90)) for f in clip.rgb[:2]]
    )
    assert clip.keypoints is not None
    driving = clip.keypoints[:2].copy()
    driving[..., :2] += (right // 5, down // 5)
    found = estimator("lite", "lite", root=None, device="cpu")("person", frames)
    assert found.keypoints is not None
    error = pose_error(found.keypoints, driving, len(frames[0]))
    assert error.of_body < 0.03
    assert found.depth is not None
    assert found.depth.shape == frames.shape[:3]
    inside = driving[:, 0, :18][driving[:, 0, :18, 2] > 0.3]
    x0, y0, x1, y1 = *inside[:, :2].min(0), *inside[:, :2].max(0)
    _, y, x = np.nonzero(found.depth < 0.875)
    assert x0 < x.mean() < x1
    assert y0 < y.mean() < y1


def test_nobody_is_no_error_and_an_unknown_name_is() -> None:
    empty = estimator("lite", "none", root=None, device="cpu")(
        "grey", np.full((2, 64, 64, 3), 90, np.uint8)
    )
    assert empty.keypoints is not None
    assert empty.keypoints[..., 2].max() == 0
    with pytest.raises(EvaluationError, match="--pose must be"):
        estimator("nobody", "none", root=None, device="cpu")
