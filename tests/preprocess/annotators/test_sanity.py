"""Key points no body can have taken, on what networks said of footage and on made-up faults."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.annotators.sanity import Findings, check_poses, joints_in_mask, nonsense_mask
from shards.sample.keypoints import COCO_18, OPENPOSE_134, wholebody_from_blazepose

RECORDED = Path(__file__).with_name("fixtures") / "lite_poses.npz"
MIRROR = OPENPOSE_134.mirrored()
WRIST, ELBOW = COCO_18.indices("left_wrist", "left_elbow")


def recorded(name):
    """(16, 1, 134, 3) of a clip, as the lite networks gave it."""
    with np.load(RECORDED) as clips:
        points = np.zeros((16, 1, 134, 3), np.float32)
        points[:, 0, :18] = clips[name]
    return points


def sides(points):
    """Of shoulders and hips in each frame: whether the left one is farther right in the image."""
    left, right = (
        points[:, 0, COCO_18.indices(f"{side}_shoulder", f"{side}_hip"), 0]
        for side in ("left", "right")
    )
    return (left > right).T.tolist()


def farthest(points):
    """Pixels by which any joint moves from a frame to the next."""
    return np.linalg.norm(np.diff(points[:, 0, :18, :2], axis=0), axis=-1).max()


@pytest.mark.parametrize(("clip", "flipped", "collapsed"), [(16, 4, 7), (32, 1, 4), (64, 5, 1)])
def test_flips_that_networks_make_are_undone(clip, flipped, collapsed):
    """A man against the light, seen now from the front and now from behind, his arms folded in
    single frames; he stands, and turns in none of them."""
    raw = recorded(f"demo.{clip}")
    assert sides(raw)[0].count(False) > 0
    assert farthest(raw) > 240
    points, findings = check_poses(raw, 30)
    assert sides(points)[0] == [True] * 16
    assert farthest(points) < 70
    assert findings == Findings(collapsed, collapsed, flipped)


def test_footage_that_is_right_stays_as_it_is():
    raw = recorded("cam01.0")
    points, findings = check_poses(raw, 30)
    np.testing.assert_array_equal(points, raw)
    assert findings == Findings()


@pytest.mark.parametrize("frame", [0, 1, 7, 14, 15])
def test_exchanged_sides_are_exchanged_back(frame):
    raw = recorded("cam01.0")
    faulty = raw.copy()
    faulty[frame, 0] = raw[frame, 0, MIRROR]
    faulty[frame, 0, [14, 15, 16, 17]] = raw[frame, 0, [14, 15, 16, 17]]  # eyes and ears stay
    points, findings = check_poses(faulty, 30)
    np.testing.assert_array_equal(points[:, 0, :18], raw[:, 0, :18])
    assert findings == Findings(swapped=1)


def test_hands_and_feet_go_with_their_sides():
    raw = recorded("cam01.0")
    for start, joint in ((18, 13), (21, 10), (92, 7), (113, 4)):
        length = 3 if start < 24 else 21
        raw[:, 0, start : start + length] = raw[:, :1, joint] + (5, 5, 0)
    faulty = raw.copy()
    body = [i for i in range(134) if i not in (14, 15, 16, 17)]
    faulty[6, 0, body] = raw[6, 0, MIRROR[body]]
    points, _ = check_poses(faulty, 30)
    np.testing.assert_array_equal(points, raw)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_collapsed_figure_is_filled_in_with_half_its_score(count):
    raw = recorded("cam01.0")
    faulty = raw.copy()
    middle = raw[6 : 6 + count, :, :18, :2].mean(2, keepdims=True)
    faulty[6 : 6 + count, ..., :2] = middle + 0.15 * (faulty[6 : 6 + count, ..., :2] - middle)
    points, findings = check_poses(faulty, 30)
    assert findings.rejected == findings.interpolated == 18 * count
    assert np.linalg.norm((points - raw)[:, 0, :18, :2], axis=-1).max() < 25  # of a man 870 high
    assert (points[6, 0, :18, 2] <= 0.5).all()
    np.testing.assert_array_equal(points[[5, 6 + count]], raw[[5, 6 + count]])


def test_a_jumping_joint_is_filled_in_and_nothing_else():
    raw = recorded("cam01.0")
    faulty = raw.copy()
    faulty[9, 0, WRIST, :2] += (-300, 250)
    points, findings = check_poses(faulty, 30)
    assert findings == Findings(1, 1, 0)
    assert np.linalg.norm(points[9, 0, WRIST, :2] - raw[9, 0, WRIST, :2]) < 15
    others = np.delete(np.arange(134), WRIST)
    np.testing.assert_array_equal(points[:, :, others], raw[:, :, others])


def test_what_cannot_be_filled_in_scores_nothing():
    """At the end of a clip nobody knows where the joint goes."""
    raw = recorded("cam01.0")
    faulty = raw.copy()
    faulty[15, 0, WRIST, :2] += (-400, 300)
    points, findings = check_poses(faulty, 30)
    assert findings == Findings(1, 0, 0)
    assert points[15, 0, WRIST].tolist() == [0, 0, 0]


def test_fast_but_steady_motion_is_left_alone():
    """An arm that swings through a half circle in a fifth of a second: 9 m/s at the hand."""
    raw = recorded("cam01.0")
    reach = 250
    angle = np.clip((np.arange(16) - 5) / 6, 0, 1) * np.pi
    shoulder = raw[:, 0, 5, :2]
    for joint, radius in ((ELBOW, 0.5), (WRIST, 1.0)):
        raw[:, 0, joint, 0] = shoulder[:, 0] + reach * radius * np.sin(angle)
        raw[:, 0, joint, 1] = shoulder[:, 1] + reach * radius * np.cos(angle)
    points, findings = check_poses(raw, 30)
    assert findings == Findings()
    np.testing.assert_array_equal(points, raw)


def test_rendered_bodies_in_motion_lose_nothing():
    """Exact and noisy joints of known bodies: not one is touched; faults put into them are mended
    to the error that the noise alone has."""
    rng = np.random.default_rng(0)
    fixture = Path(__file__).parent / "lite" / "depth" / "fixtures" / "bodies.npz"
    with np.load(fixture) as bodies:
        for n in range(4):
            truth, noisy = (_wholebody(bodies[f"{n}.{k}"]) for k in ("points", "noisy_landmarks"))
            for points in (truth, noisy):
                assert check_poses(points, 30)[1] == Findings()
            faulty = noisy.copy()
            faulty[4, 0] = noisy[4, 0, MIRROR]
            where = noisy[11, 0, :18, :2].mean(0)
            faulty[11, ..., :2] = where + 0.2 * (faulty[11, ..., :2] - where)
            faulty[8, 0, WRIST, :2] += rng.choice([-90, 90], 2)
            mended, _ = check_poses(faulty, 30)
            error = [
                np.linalg.norm((p - truth)[:, 0, :14, :2], axis=-1).mean()
                for p in (noisy, mended, faulty)
            ]
            assert error[1] < 1.05 * error[0] < error[2]


def _wholebody(landmarks):
    seen = np.ones((*landmarks.shape[:2], 1))
    body = np.concatenate([landmarks[..., :2], seen], 2).astype(np.float32)
    return np.stack([wholebody_from_blazepose(frame) for frame in body])[:, None]


def test_nobody_and_single_frames():
    nobody = np.zeros((5, 1, 134, 3), np.float32)
    assert check_poses(nobody, 30)[1] == Findings()
    one = recorded("cam01.0")[:1]
    points, findings = check_poses(one, 30)
    np.testing.assert_array_equal(points, one)
    assert findings == Findings()


def test_rectangles_and_masks_beside_the_joints_are_no_persons():
    joints = np.zeros((1, 134, 3), np.float32)
    joints[0, :18] = [[32 + 6 * (i % 3), 10 + 2 * i, 0.9] for i in range(18)]
    person = np.zeros((64, 64), np.uint8)
    y, x = np.mgrid[:64, :64]
    person[((x - 38) / 12) ** 2 + ((y - 28) / 26) ** 2 < 1] = 255
    assert joints_in_mask(person, joints) == 1
    assert nonsense_mask(person, joints) is None
    assert nonsense_mask(person[:, ::-1].copy(), joints) == "it holds 33% of the joints"
    assert nonsense_mask(np.full((64, 64), 255, np.uint8), joints) == "a rectangle"
    block = np.zeros((64, 64), np.uint8)
    block[8:50, 20:50] = 255
    assert nonsense_mask(block, None) == "a rectangle"
    assert nonsense_mask(np.zeros((64, 64), np.uint8), joints) is None
    assert nonsense_mask(person, np.zeros((1, 134, 3), np.float32)) is None
