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


def test_nobody_is_no_error_and_an_unknown_name_is() -> None:
    empty = estimator("lite", "none", root=None, device="cpu")(
        "grey", np.full((2, 64, 64, 3), 90, np.uint8)
    )
    assert empty.keypoints is not None
    assert empty.keypoints[..., 2].max() == 0
    with pytest.raises(EvaluationError, match="--pose must be"):
        estimator("nobody", "none", root=None, device="cpu")
