"""`bench/depth_limits.py`: how a person's depth varies, and what a network can say of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import depth_limits
from bench.depth_limits import FORMS, JOINTS, SIDE, Pixels
from shards import Clip
from tests.idol.train.micro import clip, write_shards


def person(number: int, depth_of_frame: Any) -> Clip:
    """A box in 0.5 of the range and less, which is 2 m deep; all else is farthest."""
    made = clip(number, frames=4)
    assert made.mask is not None
    depth = np.ones(made.mask.shape, np.float32)
    for t in range(4):
        depth[t][made.mask[t] > 0] = depth_of_frame(t)
    said = {"kind": "person", "near": 1.0, "far": 3.0, "far_at": 0.5}
    keypoints = np.zeros((4, 1, JOINTS, 3), np.float32)
    return dataclasses.replace(
        made,
        depth_person=depth,
        keypoints=keypoints,
        info={**made.info, "depth": {"depth_person": said}},
    )


def test_variance_is_divided_among_clips_frames_and_pixels(tmp_path: Path) -> None:
    constant = [person(n, lambda t, n=n: 0.1 + 0.2 * n) for n in range(2)]
    found = depth_limits.variance([str(write_shards(tmp_path / "clips", constant))])
    assert found["deviation"] == pytest.approx(0.1, abs=0.01)
    assert found["share_between_clips"] == pytest.approx(1, abs=1e-3)

    moving = [person(n, lambda t: 0.1 + 0.1 * t) for n in range(2)]
    found = depth_limits.variance([str(write_shards(tmp_path / "frames", moving))])
    assert found["share_between_clips"] == pytest.approx(0, abs=1e-3)
    assert found["share_between_frames"] == pytest.approx(1, abs=1e-3)
    assert found["deviation_within_frames"] == pytest.approx(0, abs=1e-2)


def test_metres_are_those_of_the_range(tmp_path: Path) -> None:
    clips = [person(0, lambda t: 0.1 + 0.1 * t)]
    pixels = depth_limits.gathered([str(write_shards(tmp_path / "clips", clips))], seed=0)
    own, of_clip, of_frame = pixels.depth.mT.unflatten(1, (4, -1)).mean(-1)
    steps = torch.arange(4.0)
    torch.testing.assert_close(own, 0.1 + 0.1 * steps, atol=2e-3, rtol=0)
    torch.testing.assert_close(of_clip, 0.4 * (steps - 1.5), atol=0.25, rtol=0)
    torch.testing.assert_close(of_frame, torch.zeros(4), atol=1e-2, rtol=0)


def test_a_network_learns_what_depends_on_where_a_pixel_is() -> None:
    """Depth that is its height in the first form, and noise in the others."""
    torch.manual_seed(0)

    def pixels(count: int) -> Pixels:
        at = torch.rand(count, 2) - 0.5
        depth = torch.randn(count, len(FORMS))
        depth[:, 0] = at[:, 1]
        told = torch.zeros(1, 2 * JOINTS + SIDE**2)
        return Pixels(told, at, torch.zeros(count, dtype=torch.long), depth)

    found = depth_limits.limits(pixels(4000), pixels(1000), steps=60)
    assert found[FORMS[0]]["ratio"] < 0.3
    assert all(found[form]["ratio"] > 0.9 for form in FORMS[1:])
