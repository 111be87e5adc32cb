"""Joints that move without being rendered are those of the rendered people."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.depth_range import depth_range
from preprocess.sources.people.kinematics import moving_joints
from preprocess.sources.people.render import Renderer
from preprocess.sources.people.spec import PeopleSpec
from preprocess.sources.people.world import make_world
from shards.sample.keypoints import COCO_18, OPENPOSE_134

SPEC = PeopleSpec(seed=5, width=120, height=96, frames=10, fps=10, two_people=0.4)


@pytest.mark.parametrize("video", [0, 1, 2])
def test_joints_are_those_that_are_rendered(video: int) -> None:
    moving = moving_joints(SPEC, video)
    frames = (0, 6, 9)
    pictures = Renderer(make_world(SPEC, video), SPEC.fps).pictures(frames)
    body = OPENPOSE_134.indices(*COCO_18.joints)
    for frame, picture in zip(frames, pictures, strict=True):
        found = moving.joints[frame]
        truth = picture.truth
        places = (truth.joints[0, body, :2] + 0.5) / SPEC.height
        np.testing.assert_allclose(found[:, :2], places, atol=1e-5)
        np.testing.assert_allclose(found[:, 2], truth.space[0, body, 2], atol=1e-5)


def test_the_range_is_that_of_the_body() -> None:
    """Clothes, hair and who stands before it move it a little."""
    apart = []
    for video in range(4):
        moving = moving_joints(SPEC, video)
        pictures = Renderer(make_world(SPEC, video), SPEC.fps).pictures([0, 3, 6, 9])
        near, far = depth_range(np.stack([picture.truth.person[0] for picture in pictures]))
        apart += [abs(moving.near - near) / (far - near), abs(moving.far - far) / (far - near)]
    assert max(apart) < 0.15
    assert np.mean(apart) < 0.05
