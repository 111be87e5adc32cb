"""What lite depth promises of any clip."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.annotators.lite.depth import BodyPose, lite_depth


def test_depth_is_known_exactly_inside_the_mask(pose, mask):
    depth = lite_depth([pose] * 3, np.stack([mask] * 3))
    assert depth.dtype == np.float32
    assert depth.shape == (3, 256, 256)
    assert np.array_equal(np.isfinite(depth), np.stack([mask] * 3) > 127)


def test_the_mask_is_cut_above_127(pose, mask):
    soft = np.where(mask > 0, np.where(np.arange(256) < 128, 127, 128), 0).astype(np.uint8)
    depth = lite_depth([pose], soft[None])[0]
    assert np.isnan(depth[:, :128]).all()
    assert np.isfinite(depth[:, 128:][soft[:, 128:] > 0]).all()


def test_the_front_of_the_body_lies_before_its_joints(pose, mask):
    depth = lite_depth([pose], mask[None])[0]
    belly = depth[110, 128]
    assert -0.16 < belly < -0.06  # joints are all at 0 and a trunk is about 20 cm thick
    assert depth[110, 128] < depth[110, 104]  # nearest in the middle, receding to the side


def test_an_arm_towards_the_camera_is_nearer_than_the_trunk(world, seen, mask):
    for joint, z in ((13, -0.28), (15, -0.52), (17, -0.6), (19, -0.62), (21, -0.58)):
        world[joint] = (0.16, -0.48, z)
    depth = lite_depth([seen(world)], mask[None])[0]
    hand, chest = depth[82, 144], depth[90, 122]
    assert hand < chest - 0.4


def test_what_stands_nearer_hides_what_stands_behind(world, seen, mask):
    left_before, right_before = world.copy(), world.copy()
    for crossed, near in ((left_before, 25), (right_before, 26)):
        crossed[[25, 26, 27, 28], 0] = 0.0  # both legs on one line of sight
        crossed[[near, near + 2], 2] = -0.2
        crossed[[51 - near, 53 - near], 2] = 0.2
    shin = [lite_depth([seen(w)], mask[None])[0][192, 128] for w in (left_before, right_before)]
    assert shin[0] == pytest.approx(shin[1], abs=0.01)
    assert shin[0] < -0.2


def test_clothes_and_hair_continue_the_nearest_limb(pose, mask):
    depth = lite_depth([pose], mask[None])[0]
    skirt_edge, thigh_edge = depth[180, 92], depth[180, 108]
    assert abs(skirt_edge - thigh_edge) < 0.08
    assert np.nanmax(np.abs(depth)) < 0.4  # nothing is filled from nowhere


def test_depth_has_no_steps_within_a_limb(pose, mask):
    depth = lite_depth([pose], mask[None])[0]
    down_the_middle = depth[34:130, 128]
    assert np.isfinite(down_the_middle).all()
    # A slope of two, and the overhang of a chin, at 1 cm a pixel.
    assert np.abs(np.diff(down_the_middle)).max() < 0.06


def test_every_call_gives_the_same_bytes(bodies):
    body = bodies[0]
    first = lite_depth(body.noisy, body.mask)
    assert first.tobytes() == lite_depth(body.noisy, body.mask).tobytes()


def test_a_frame_without_a_pose_has_no_depth_and_leaves_the_others_be(pose, mask):
    depth = lite_depth([pose, None, pose], np.stack([mask] * 3))
    assert np.isnan(depth[1]).all()
    assert np.array_equal(np.isfinite(depth[0]), mask > 127)
    np.testing.assert_allclose(depth[0], depth[2], atol=1e-5)


def test_a_clip_without_any_pose_has_no_depth(mask):
    depth = lite_depth([None, None], np.stack([mask] * 2))
    assert depth.shape == (2, 256, 256)
    assert np.isnan(depth).all()


def test_no_visible_landmark_is_no_pose(pose, mask):
    pose.landmarks[:, 2] = 0
    assert np.isnan(lite_depth([pose], mask[None])).all()


def test_an_empty_mask_gives_no_depth(pose):
    assert np.isnan(lite_depth([pose], np.zeros((1, 256, 256), np.uint8))).all()


def test_a_full_mask_is_filled_to_its_corners(pose):
    full = np.full((1, 256, 256), 255, np.uint8)
    assert np.isfinite(lite_depth([pose], full)).all()


def test_a_clip_of_no_frames(mask):
    assert lite_depth([], mask[None][:0]).shape == (0, 256, 256)


def test_landmarks_beside_the_image_still_fill_the_mask(pose, mask):
    aside = pose.landmarks + np.array([1000, 0, 0], np.float32)
    depth = lite_depth([BodyPose(aside, pose.world)], mask[None])[0]
    assert (depth[mask > 127] == 0).all()  # as deep as the hips: nothing says otherwise


def test_half_a_body_in_the_image(pose, mask):
    up = pose.landmarks - np.array([0, 130, 0], np.float32)
    cut = np.zeros_like(mask)
    cut[:126] = mask[130:]
    depth = lite_depth([BodyPose(up, pose.world)], cut[None])[0]
    assert np.array_equal(np.isfinite(depth), cut > 127)


def test_landmarks_all_in_one_place_are_no_pose(pose, mask):
    heap = pose.landmarks.copy()
    heap[:, :2] = 100
    assert np.isnan(lite_depth([BodyPose(heap, pose.world)], mask[None])).all()


@pytest.mark.parametrize("name", ["landmarks", "world"])
def test_landmarks_that_are_not_finite_are_refused_by_frame(pose, mask, name):
    broken = BodyPose(pose.landmarks.copy(), pose.world.copy())
    getattr(broken, name)[5, 1] = np.nan
    with pytest.raises(ValueError, match=f"frame 1: {name} hold NaN"):
        lite_depth([pose, broken], np.stack([mask] * 2))


def test_wrong_shapes_are_refused(pose, mask):
    with pytest.raises(ValueError, match=r"frame 0: world have shape \(32, 3\)"):
        lite_depth([BodyPose(pose.landmarks, pose.world[:32])], mask[None])
    with pytest.raises(ValueError, match=r"2 poses needs masks of uint8 \(2, H, W\)"):
        lite_depth([pose, pose], mask[None])
    with pytest.raises(ValueError, match="not float64"):
        lite_depth([pose], mask[None].astype(np.float64))
    with pytest.raises(ValueError, match="frames per second"):
        lite_depth([pose], mask[None], fps=0)
