"""Who is who: people are followed by overlap, and lost ones keep their place."""

import numpy as np
import pytest

from preprocess.annotators.people import people_of_clip
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Settings
from preprocess.crop import Crop
from shards.sample.keypoints import OPENPOSE_134

CROP = Crop("none", 0, 0, 100, 100)  # clip pixels are source pixels


def someone(name, x, y, width=20, height=40):
    """A person's box, and the score of all their joints, which tells who it is."""
    return name, (x, y, x + width, y + height)


def points_of(found, **options):
    """(frames, places, 3) of the first joint, which is in the middle of a person's box."""
    blank = tuple(np.zeros((100, 100, 3), np.uint8) for _ in found)
    asked = []

    def joints_of(wanted):
        asked.append(len(wanted))
        people = [found[frame][number] for frame, number in wanted]
        return [
            np.tile(np.float32([(x0 + x1) / 2, (y0 + y1) / 2, name]), (134, 1))
            for name, (x0, y0, x1, y1) in people
        ]

    settings = Settings(**({"people": "all", "smooth": False} | options))
    boxes = [[box for _, box in there] for there in found]
    keypoints = people_of_clip(Scene(blank, (), CROP, 30.0), boxes, joints_of, settings)
    assert keypoints.joint_set is OPENPOSE_134
    assert asked == [np.count_nonzero(keypoints.points[:, :, 0, 2])]  # and not for the others
    return keypoints.points[:, :, 0]


def names(found, **options):
    """(frames, places): who is where, 0 for nobody."""
    return points_of(found, **options)[..., 2].astype(float).round(3).tolist()


def test_the_order_in_which_people_are_found_does_not_matter():
    a = [someone(0.9, 10 + 3 * t, 30) for t in range(3)]
    b = [someone(0.5, 60 - 3 * t, 35, 15, 30) for t in range(3)]
    assert names([[a[0], b[0]], [b[1], a[1]], [b[2], a[2]]]) == [[0.9, 0.5]] * 3


def test_one_is_the_largest_or_the_most_central():
    large, central = someone(0.9, 0, 0, 40, 60), someone(0.5, 40, 30)
    assert names([[central, large]] * 2, people="one") == [[0.9]] * 2
    assert names([[large, central]] * 2, people="one", person="central") == [[0.5]] * 2


def test_size_counts_over_the_whole_clip():
    """A passer-by who is larger in one frame does not take the dancer's place."""
    dancer, passer_by = someone(0.9, 40, 20, 20, 60), someone(0.5, 0, 0, 30, 80)
    assert names([[dancer], [passer_by, dancer], [dancer]], people="one") == [[0.9]] * 3


def test_a_missed_person_leaves_a_gap_that_nobody_else_fills():
    dancer, other = someone(0.9, 40, 20, 20, 60), someone(0.5, 0, 0)
    assert names([[dancer, other], [other], [dancer, other]], people="one") == [[0.9], [0], [0.9]]


def test_a_person_who_jumps_while_missed_keeps_the_place():
    before, after = someone(0.9, 10, 20, 20, 60), someone(0.8, 70, 20, 20, 60)
    assert names([[before], [], [after]], people="one") == [[0.9], [0], [0.8]]


def test_nobody_is_one_place_without_scores():
    assert names([[], []]) == [[0], [0]]
    assert names([[], []], people="one", smooth=True) == [[0], [0]]


def test_smoothing_does_not_mix_people():
    """Two who stand still and swap their order in the list: smoothing must not move them."""
    a, b = someone(0.9, 10, 10), someone(0.5, 70, 10)
    points = points_of([[a, b], [b, a], [a, b], [a]], smooth=True)
    np.testing.assert_allclose(points[:3, :, 0], [[20, 80]] * 3, atol=1e-4)
    assert points[3, :, 2].tolist() == pytest.approx([0.9, 0])
