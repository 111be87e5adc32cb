"""Skeletons: the right colours in the right places, at the size of the clip."""

import numpy as np
import pytest

from shards.sample.keypoints import BLAZEPOSE_33, COCO_18, OPENPOSE_134, Keypoints
from shards.sample.skeleton import LIMB_COLOURS, LIMBS, draw_poses


def person(**joints):
    points = np.zeros((1, 1, 134, 3), np.float32)
    for name, (x, y) in joints.items():
        points[0, 0, OPENPOSE_134.joints.index(name)] = x, y, 1
    return Keypoints(points, OPENPOSE_134)


def test_every_limb_has_its_own_colour_between_its_joints():
    for limb, (a, b) in enumerate(LIMBS):
        names = COCO_18.joints[a], COCO_18.joints[b]
        image = draw_poses(
            person(**dict(zip(names, [(60, 60), (200, 140)], strict=True))), (256,) * 2, "openpose"
        )[0]
        dimmed = [int(c * 0.6) for c in LIMB_COLOURS[limb]]
        assert image[100, 130].tolist() == dimmed
        assert image[60, 60].tolist() == list(LIMB_COLOURS[a])
        assert image[140, 200].tolist() == list(LIMB_COLOURS[b])
        assert image[10, 10].tolist() == [0, 0, 0]


def test_joints_below_the_score_are_not_drawn():
    keypoints = person(nose=(50, 50), neck=(50, 90))
    keypoints.points[..., 2] *= 0.29
    assert not draw_poses(keypoints, (128, 128), "dwpose").any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_joints_that_are_not_finite_are_not_drawn(value, place):
    keypoints, without = person(nose=(50, 50), neck=(50, 90)), person(neck=(50, 90))
    keypoints.points[0, 0, 0, place] = value
    drawn = [draw_poses(points, (128, 128), "dwpose") for points in (keypoints, without)]
    assert np.array_equal(*drawn)


def test_dwpose_adds_hands_and_face():
    keypoints = person(left_hand_palm=(20, 20), left_hand_thumb_1=(60, 20), face_30=(90, 90))
    assert not draw_poses(keypoints, (128, 128), "openpose").any()
    image = draw_poses(keypoints, (128, 128), "dwpose")[0]
    assert image[20, 20].tolist() == [0, 0, 255]
    red, green, blue = image[20, 40]  # the first bone of a hand, one pixel wide at this size
    assert red > 200
    assert (green, blue) == (0, 0)
    assert image[90, 90].tolist() == [255, 255, 255]


def test_lines_scale_with_the_image():
    widths = []
    for size in (256, 1024):
        keypoints = person(neck=(size / 4, size / 2), right_hip=(3 * size / 4, size / 2))
        column = draw_poses(keypoints, (size, size), "openpose")[0][:, size // 2].max(-1)
        widths.append(column.sum() / column.max() / size)
    assert widths[0] == pytest.approx(widths[1], rel=0.3)  # anti-aliasing adds a pixel


def test_subpixel_motion_moves_the_drawing():
    a, b = (draw_poses(person(nose=(x, 30)), (64, 64), "openpose")[0] for x in (30.0, 30.25))
    columns = np.arange(64)
    centres = [(p[..., 0].sum(0) * columns).sum() / p[..., 0].sum() for p in (a, b)]
    assert centres[1] - centres[0] == pytest.approx(0.25, abs=0.08)


def test_joints_far_outside_are_harmless():
    keypoints = person(neck=(30, 30), nose=(1e7, -1e7), right_shoulder=(-1e9, 0))
    assert draw_poses(keypoints, (64, 64), "dwpose").any()


def test_a_set_without_the_body_is_refused():
    with pytest.raises(ValueError):
        draw_poses(Keypoints(np.zeros((1, 1, 33, 3), np.float32), BLAZEPOSE_33), (8, 8), "openpose")


def test_joints_below_the_least_score_are_not_drawn_and_those_at_it_are():
    points = np.zeros((1, 1, 18, 3), np.float32)
    points[0, 0, :, 0] = np.linspace(8, 56, 18)
    points[0, 0, :, 1] = 32
    points[..., 2] = 0.125
    keypoints = Keypoints(points, COCO_18)
    assert not draw_poses(keypoints, (64, 64), "openpose").any()
    faint = draw_poses(keypoints, (64, 64), "openpose", min_score=0.125)
    points[..., 2] = 1
    assert (faint == draw_poses(Keypoints(points, COCO_18), (64, 64), "openpose")).all()
    assert faint.any()
