"""The front surface of capsules, against spheres swept one by one."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.depth.capsules import (
    TUBES,
    Capsules,
    body_capsules,
    fit_girth,
    front_surface,
)
from preprocess.annotators.lite.depth.motion import body_motion


def capsule(start, end, r0, r1) -> Capsules:
    return Capsules(np.array([start], float), np.array([end], float), *np.array([[r0], [r1]]))


def swept(start, end, r0, r1, size: int, steps: int = 2000) -> np.ndarray:
    """The definition: the nearest of many balls along the axis."""
    y, x = np.mgrid[:size, :size]
    front = np.full((size, size), np.inf)
    for t in np.linspace(0, 1, steps):
        cx, cy, cz = np.asarray(start) * (1 - t) + np.asarray(end) * t
        rise = (r0 * (1 - t) + r1 * t) ** 2 - (x - cx) ** 2 - (y - cy) ** 2
        front = np.where(rise >= 0, np.minimum(front, cz - np.sqrt(np.maximum(rise, 0))), front)
    return front


@pytest.mark.parametrize(
    ("start", "end", "r0", "r1"),
    [
        ((16.2, 16.3, 5), (48.7, 40.1, 5), 8.1, 8.1),  # across the view
        ((16.2, 16.3, 0), (48.7, 40.1, -40), 8.1, 8.1),  # slanting towards the camera
        ((16.2, 40.3, 0), (50.7, 20.1, 30), 10.1, 5.1),  # away from it and tapering
        ((30.2, 30.3, 0), (34.7, 33.1, -60), 9.1, 5.1),  # nearly pointing at it, thin end near
        ((30.2, 30.3, -60), (36.7, 33.1, 10), 5.1, 9.6),  # thick end far
        ((32.2, 32.3, 3), (32.2, 32.3, 3), 12.1, 12.1),  # a ball
        ((32.2, 32.3, 3), (32.2, 32.3, -30), 9.1, 9.1),  # pointing straight at it
    ],
)
def test_a_capsule_is_the_front_of_all_its_balls(start, end, r0, r1):
    found = front_surface(capsule(start, end, r0, r1), 64, 64)
    truth = swept(start, end, r0, r1, 64)
    both = np.isfinite(truth) & np.isfinite(found)
    assert (np.isfinite(found) != np.isfinite(truth)).sum() <= 3  # of the outline, by rounding
    np.testing.assert_allclose(found[both], truth[both], atol=2e-3)


def test_a_cone_pointing_straight_at_the_camera_is_no_wider_than_its_ends():
    surface = front_surface(capsule((32, 32, 0), (32, 32, -40), 10, 6), 64, 64)
    assert surface[32, 32] == pytest.approx(-48, abs=1)  # 8, the mean radius, before the near end
    radius = np.sqrt(np.isfinite(surface).sum() / np.pi)
    assert 6 < radius < 10


def test_the_nearer_capsule_is_seen():
    two = Capsules(
        np.array([[10, 20, 0], [20, 10, -30]], float),
        np.array([[30, 20, 0], [20, 30, -30]], float),
        np.array([4.0, 4.0]),
        np.array([4.0, 4.0]),
    )
    surface = front_surface(two, 40, 40)
    assert surface[20, 20] == pytest.approx(-34)
    assert surface[20, 12] == pytest.approx(-4)
    assert surface.dtype == np.float32
    assert surface[0, 0] == np.inf


@pytest.mark.parametrize("shift", [-500, 500])
def test_capsules_beside_the_image_leave_it_empty(shift):
    aside = capsule((shift, 20, 0), (shift, 30, 0), 5, 5)
    assert np.isinf(front_surface(aside, 40, 50)).all()


def test_points_of_tubes_lie_between_joints():
    for tube in TUBES:
        for point in (tube.start, tube.end):
            assert sum(point.values()) == pytest.approx(1)


def test_girth_is_found_again_from_the_silhouette(bodies):
    body = bodies[1]
    motion = body_motion(body.exact)
    shape = body.mask.shape[1:]
    areas = []
    for wanted in (0.9, 1.0, 1.2):
        drawn = [
            np.isfinite(front_surface(body_capsules(motion, n, wanted), *shape))
            for n in range(len(motion.frames))
        ]
        areas.append(fit_girth(motion, np.stack(drawn)))
    # The true silhouette is taken to be a little smaller than the capsules', hence the offset.
    assert np.diff(areas) == pytest.approx([0.1, 0.2], abs=0.04)
    assert areas[1] == pytest.approx(1.03, abs=0.04)


def test_girth_without_a_person_is_average(bodies):
    motion = body_motion(bodies[0].exact)
    assert fit_girth(motion, np.zeros(bodies[0].mask.shape, bool)) == 1
    assert fit_girth(body_motion([None] * 16), bodies[0].mask > 127) == 1
